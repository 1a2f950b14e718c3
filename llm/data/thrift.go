package data

import (
	"encoding/binary"
	"fmt"
	"io"
)

const maxFooter = 256 << 20 // bytes of a Parquet file's metadata

// checkFooter reads the metadata of a Parquet file and checks that it is well formed as far as memory is
// concerned: its length fits the file, and no list or text in it is longer than what is left of it. The
// decoder allocates what these lengths say.
func checkFooter(r io.ReaderAt, size int64) error {
	var tail [8]byte
	if size < 12 {
		return fmt.Errorf("%d bytes: too short for a Parquet file", size)
	}
	if _, err := r.ReadAt(tail[:], size-8); err != nil {
		return err
	}
	if string(tail[4:]) != "PAR1" {
		return fmt.Errorf("ends with %q: not a Parquet file, or one that is cut off or encrypted", tail[4:])
	}
	n := int64(binary.LittleEndian.Uint32(tail[:4]))
	if n > min(size-12, maxFooter) {
		return fmt.Errorf("metadata of %d bytes, at most %d are there or allowed", n, min(size-12, maxFooter))
	}
	footer := make([]byte, n)
	if _, err := r.ReadAt(footer, size-8-n); err != nil {
		return err
	}
	c := compact{rest: footer}
	c.structure(0)
	if c.bad != "" {
		return fmt.Errorf("metadata is damaged: %s", c.bad)
	}
	return nil
}

// compact walks through data in Thrift's compact protocol.
type compact struct {
	rest []byte
	bad  string // what is wrong, "" for nothing yet
}

// Types of the compact protocol.
const (
	compactTrue   = 1
	compactFalse  = 2
	compactByte   = 3
	compactI16    = 4
	compactI32    = 5
	compactI64    = 6
	compactDouble = 7
	compactBinary = 8
	compactList   = 9
	compactSet    = 10
	compactMap    = 11
	compactStruct = 12
)

func (c *compact) fail(format string, args ...any) {
	if c.bad == "" {
		c.bad = fmt.Sprintf(format, args...)
	}
	c.rest = nil
}

func (c *compact) next() byte {
	if len(c.rest) == 0 {
		c.fail("it ends early")
		return 0
	}
	b := c.rest[0]
	c.rest = c.rest[1:]
	return b
}

func (c *compact) varint() uint64 {
	v, n := binary.Uvarint(c.rest)
	if n <= 0 {
		c.fail("a number is cut off or too long")
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

func (c *compact) skip(n uint64, what string) {
	if n > uint64(len(c.rest)) {
		c.fail("%s of %d bytes, %d are left", what, n, len(c.rest))
		return
	}
	c.rest = c.rest[n:]
}

func (c *compact) structure(depth int) {
	for c.bad == "" {
		head := c.next()
		if head == 0 {
			return
		}
		if head>>4 == 0 {
			c.varint() // field id
		}
		if kind := head & 15; kind != compactTrue && kind != compactFalse {
			c.value(kind, depth+1)
		}
	}
}

func (c *compact) value(kind byte, depth int) {
	if depth > maxNesting {
		c.fail("nested deeper than %d", maxNesting)
		return
	}
	switch kind {
	case compactTrue, compactFalse, compactByte: // a truth value in a list takes a byte
		c.next()
	case compactI16, compactI32, compactI64:
		c.varint()
	case compactDouble:
		c.skip(8, "a number")
	case compactBinary:
		c.skip(c.varint(), "a text")
	case compactList, compactSet:
		head := c.next()
		n := uint64(head >> 4)
		if n == 15 {
			n = c.varint()
		}
		if n > uint64(len(c.rest)) {
			c.fail("a list of %d entries, %d bytes are left", n, len(c.rest))
			return
		}
		for i := uint64(0); i < n && c.bad == ""; i++ {
			c.value(head&15, depth+1)
		}
	case compactMap:
		n := c.varint()
		if n > uint64(len(c.rest)) {
			c.fail("a map of %d entries, %d bytes are left", n, len(c.rest))
			return
		}
		if n == 0 {
			return
		}
		kinds := c.next()
		for i := uint64(0); i < n && c.bad == ""; i++ {
			c.value(kinds>>4, depth+1)
			c.value(kinds&15, depth+1)
		}
	case compactStruct:
		c.structure(depth)
	default:
		c.fail("value of unknown type %d", kind)
	}
}
