package data

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/parquet-go/parquet-go"
)

const (
	parquetBatch = 64  // rows decoded at a time
	maxNesting   = 100 // depth of a value
)

// readParquet streams a Parquet file, row group by row group.
func readParquet(name string, r io.ReaderAt, size int64, yield func(Record, error) bool) {
	row := 0
	inCaller := false
	// The decoder panics on some damaged files; the caller's own panics pass.
	defer func() {
		if inCaller {
			return
		}
		if p := recover(); p != nil {
			yield(Record{}, fmt.Errorf("%s: row %d: damaged Parquet file: %v", name, row, p))
		}
	}()
	if err := checkFooter(r, size); err != nil {
		yield(Record{}, fmt.Errorf("%s: %w", name, err))
		return
	}
	f, err := parquet.OpenFile(r, size, parquet.SkipBloomFilters(true), parquet.SkipPageIndex(true))
	if err != nil {
		yield(Record{}, fmt.Errorf("%s: %w", name, err))
		return
	}
	schema := f.Schema()
	buf := make([]parquet.Row, parquetBatch)
	for _, group := range f.RowGroups() {
		rows := group.Rows()
		for {
			n, err := rows.ReadRows(buf)
			for _, cells := range buf[:n] {
				record, bad := parquetRecord(schema, cells)
				var out error
				if bad != nil {
					bad.File, bad.Row = name, row
					out = bad
				}
				inCaller = true
				ok := yield(record, out)
				inCaller = false
				if !ok {
					rows.Close()
					return
				}
				row++
			}
			if err == io.EOF || err == nil && n == 0 {
				break
			}
			if err != nil {
				rows.Close()
				yield(Record{}, fmt.Errorf("%s: row %d: %w", name, row, err))
				return
			}
		}
		rows.Close()
	}
}

func parquetRecord(schema *parquet.Schema, cells parquet.Row) (Record, *RowError) {
	var v any
	if err := schema.Reconstruct(&v, cells); err != nil {
		return Record{}, &RowError{Reason: Malformed, Detail: err.Error()}
	}
	fields, ok := plainValue(v, 0).(map[string]any)
	if !ok {
		return Record{}, &RowError{Reason: NotObject, Detail: fmt.Sprintf("%T", v)}
	}
	return Record{Fields: fields}, nil
}

// plainValue brings a decoded value to the types that JSON gives.
func plainValue(v any, depth int) any {
	if depth > maxNesting {
		return nil
	}
	switch v := v.(type) {
	case []byte:
		return string(v)
	case int32:
		return json.Number(strconv.FormatInt(int64(v), 10))
	case int64:
		return json.Number(strconv.FormatInt(v, 10))
	case uint32:
		return json.Number(strconv.FormatUint(uint64(v), 10))
	case uint64:
		return json.Number(strconv.FormatUint(v, 10))
	case float32:
		return json.Number(strconv.FormatFloat(float64(v), 'g', -1, 32))
	case float64:
		return json.Number(strconv.FormatFloat(v, 'g', -1, 64))
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plainValue(v[i], depth+1)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = plainValue(e, depth+1)
		}
		return out
	}
	return v
}
