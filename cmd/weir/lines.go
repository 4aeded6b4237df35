package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"iter"

	"github.com/klauspost/compress/zstd"
)

// Limits of files of events.
const (
	maxLine    = 1 << 20
	blockBytes = 1 << 20
	maxWindow  = 128 << 20 // memory that a zstd file may ask for
)

// block is a part of a file that ends at the end of a line. Its memory is its own: lines may be kept.
type block struct {
	data     []byte
	line     int64 // number of its first line
	overlong bool  // after its last line comes one that is too long and was left out
}

// lines are the block's lines without line ends, in order, empty ones too.
func (b block) lines() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest := b.data; len(rest) > 0; {
			line := rest
			if i := bytes.IndexByte(rest, '\n'); i >= 0 {
				line, rest = rest[:i:i], rest[i+1:]
			} else {
				rest = nil
			}
			if !yield(bytes.TrimSpace(line)) {
				return
			}
		}
	}
}

var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// readBlocks decompresses where needed and cuts at line ends, ahead of whoever parses.
func readBlocks(ctx context.Context, src io.Reader, out chan<- block) error {
	buffered := bufio.NewReaderSize(src, 256<<10)
	var in io.Reader = buffered
	if head, _ := buffered.Peek(len(zstdMagic)); bytes.Equal(head, zstdMagic) { // a short file is no zstd
		d, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return err
		}
		defer d.Close()
		in = d
	}
	c := cutter{number: 1}
	for {
		buf := make([]byte, len(c.carry), blockBytes+len(c.carry))
		copy(buf, c.carry)
		n, err := io.ReadFull(in, buf[len(buf):cap(buf)])
		ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		for _, b := range c.cut(buf[:len(buf)+n], ended) {
			select {
			case out <- b:
			case <-ctx.Done():
				return nil
			}
		}
		if ended {
			return unexpected(err, in)
		}
		if err != nil {
			return err
		}
	}
}

// unexpected tells the end of the input from a compressed file that was cut off.
func unexpected(err error, in io.Reader) error {
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	if _, again := in.Read(make([]byte, 1)); again != nil && !errors.Is(again, io.EOF) {
		return again
	}
	return nil
}

// cutter divides what was read into blocks of whole lines.
type cutter struct {
	carry    []byte // the beginning of a line whose end is yet to come
	skipping bool   // inside a line that is too long
	number   int64  // of the line that comes next
}

// cut takes data, the carry at its front, and returns what is complete.
func (c *cutter) cut(data []byte, ended bool) []block {
	c.carry = nil
	if c.skipping {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			return nil
		}
		c.skipping = false
		data = data[end+1:]
	}
	end := bytes.LastIndexByte(data, '\n') + 1
	if ended {
		end = len(data)
	}
	b := block{data: data[:end:end], line: c.number}
	c.number += int64(bytes.Count(b.data, []byte{'\n'}))
	rest := data[end:]
	if len(rest) > maxLine {
		b.overlong, c.skipping = true, true
		c.number++
		rest = nil
	}
	c.carry = rest
	if len(b.data) == 0 && !b.overlong {
		return nil
	}
	return []block{b}
}

// countingReader tells how many bytes were read.
type countingReader struct {
	io.Reader
	add func(n int)
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.add(n)
	return n, err
}
