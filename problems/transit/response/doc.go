// Package response computes the travellers' response to link capacities.
package response
