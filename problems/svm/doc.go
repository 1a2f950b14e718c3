// Package svm selects the hyper-parameters of support vector machines on a
// validation set by bilevel optimization: the leader sets one slack bound per
// training row (or one weight per row or per feature), the follower trains a
// linear classifier sign(w'a + b) under them, and the leader's objective is the
// classifier's loss on rows that the follower does not see.
//
// The data are the Pima diabetes figures (compiled in), the files diabetes and
// fourclass of the experiments of arXiv 2406.10148 and arXiv 2507.20400 where
// external data are there, or a user's LIBSVM or CSV file.
package svm
