package data

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/bilevel-go/bilevel"
)

// Format is a file format.
type Format string

// Formats. JSON is one array of objects; a file that begins with an object is
// read as JSONLines, which has one object on every line.
const (
	JSON      Format = "json"
	JSONLines Format = "jsonl"
	CSV       Format = "csv"
	TSV       Format = "tsv"
	Parquet   Format = "parquet"
)

// FormatOf tells the format from a file's name: .json, .jsonl or .ndjson, .csv, .tsv, .parquet;
// all but Parquet may end in .gz and are then decompressed.
func FormatOf(path string) (Format, error) {
	name := strings.TrimSuffix(strings.ToLower(filepath.Base(path)), ".gz")
	switch ext := filepath.Ext(name); ext {
	case ".json", ".jsonl", ".csv", ".tsv", ".parquet":
		return Format(ext[1:]), nil
	case ".ndjson":
		return JSONLines, nil
	}
	return "", &bilevel.SettingError{Field: "format of " + path, Value: filepath.Base(path), Allowed: "a name in .json, .jsonl, .ndjson, .csv, .tsv (each also with .gz) or .parquet; or state the format"}
}

// Record is a row of a file as it stands there. A value is a string, a
// json.Number, a bool, nil, a []any or a map[string]any.
type Record struct {
	Line   int // where it begins, from 1; 0 in formats without lines
	Fields map[string]any
}

// Records reads a file record by record; format "" goes by the name. A
// *[RowError] is one bad record, after which reading goes on; any other error
// ends the sequence.
func Records(path string, format Format) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if format == "" {
			var err error
			if format, err = FormatOf(path); err != nil {
				yield(Record{}, err)
				return
			}
		}
		f, err := os.Open(path)
		if err != nil {
			yield(Record{}, err)
			return
		}
		defer f.Close()
		if format == Parquet {
			info, err := f.Stat()
			if err != nil {
				yield(Record{}, err)
				return
			}
			readParquet(path, f, info.Size(), yield)
			return
		}
		var r io.Reader = f
		if strings.HasSuffix(strings.ToLower(path), ".gz") {
			z, err := gzip.NewReader(bufio.NewReaderSize(f, 1<<16))
			if err != nil {
				yield(Record{}, fmt.Errorf("%s: %w", path, err))
				return
			}
			r = z
		}
		ReadRecords(path, r, format)(yield)
	}
}

// ReadRecords is [Records] of an open text file, any format but Parquet; name
// is what errors call it.
func ReadRecords(name string, r io.Reader, format Format) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		b := bufio.NewReaderSize(r, 1<<16)
		if head, _ := b.Peek(3); bytes.Equal(head, []byte("\ufeff")) {
			b.Discard(3)
		}
		switch format {
		case JSON:
			readJSON(name, b, yield)
		case JSONLines:
			readJSONLines(name, b, 1, yield)
		case CSV:
			readCSV(name, b, ',', yield)
		case TSV:
			readCSV(name, b, '\t', yield)
		default:
			yield(Record{}, &bilevel.SettingError{Field: "format of " + name, Value: string(format), Allowed: "json, jsonl, csv, tsv or parquet"})
		}
	}
}
