package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// runResult is one finished run.
type runResult struct {
	Key        string       `json:"run"`
	Diverged   bool         `json:"diverged,omitempty"` // ended at a loss that is not finite
	Steps      int          `json:"steps"`
	Tuning     float64      `json:"tuning"`     // final loss, bits per character; 0 if it diverged
	Validation float64      `json:"validation"` // the same on the validation part
	Curve      [][2]float64 `json:"curve"`      // step, loss on the validation part
}

// stepTime is the time of one training step of a variant, one value for each
// round of the timings.
type stepTime struct {
	Key     string    `json:"timing"` // of the variant
	Seconds []float64 `json:"seconds"`
	On      string    `json:"on"` // processor and Go version
}

// header is the first line of a results file.
type header struct {
	Hash     string   `json:"settings"`
	Settings settings `json:"of"`
}

// results is a file of finished runs, one per line. It is only appended to, so an
// interrupted command can continue where it stopped.
type results struct {
	mu    sync.Mutex
	file  *os.File
	runs  map[string]runResult
	times map[string]stepTime // from the last line of each variant
}

// openResults reads the results file at path, or makes it. A last line that
// was cut off is dropped. Results of other settings are an error.
func openResults(path string, s settings) (*results, error) {
	r := &results{runs: map[string]runResult{}, times: map[string]stepTime{}}
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("-results: %w", err)
	}
	whole := bytes.LastIndexByte(content, '\n') + 1
	for i, line := range bytes.Split(content[:whole], []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		if err := r.read(i, line, s); err != nil {
			return nil, fmt.Errorf("-results: %s, line %d: %w", path, i+1, err)
		}
	}
	if r.file, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644); err != nil {
		return nil, fmt.Errorf("-results: %w", err)
	}
	if err := r.file.Truncate(int64(whole)); err != nil {
		return nil, fmt.Errorf("-results: %w", err)
	}
	if _, err := r.file.Seek(int64(whole), 0); err != nil {
		return nil, fmt.Errorf("-results: %w", err)
	}
	if whole == 0 {
		return r, r.append(header{s.hash(), s})
	}
	return r, nil
}

// read takes one line of the file.
func (r *results) read(i int, line []byte, s settings) error {
	var kind struct {
		Hash   *string `json:"settings"`
		Run    *string `json:"run"`
		Timing *string `json:"timing"`
	}
	if err := json.Unmarshal(line, &kind); err != nil {
		return err
	}
	switch {
	case (kind.Hash != nil) != (i == 0):
		return errors.New("the settings must be the first line, and only that")
	case kind.Hash != nil:
		if *kind.Hash != s.hash() {
			return fmt.Errorf("results of other settings or of another text (%s, now %s): remove the file or give another", *kind.Hash, s.hash())
		}
		return nil
	case kind.Run != nil:
		var res runResult
		if err := json.Unmarshal(line, &res); err != nil {
			return err
		}
		r.runs[res.Key] = res
		return nil
	case kind.Timing != nil:
		var t stepTime
		if err := json.Unmarshal(line, &t); err != nil {
			return err
		}
		r.times[t.Key] = t
		return nil
	}
	return errors.New("neither a run nor a timing")
}

// append writes one line, and returns when it is on disk.
func (r *results) append(line any) error {
	b, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if _, err := r.file.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("-results: %w", err)
	}
	if err := r.file.Sync(); err != nil {
		return fmt.Errorf("-results: %w", err)
	}
	return nil
}

func (r *results) addRun(res runResult) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs[res.Key] = res
	return r.append(res)
}

func (r *results) addTime(t stepTime) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times[t.Key] = t
	return r.append(t)
}

func (r *results) run(key string) (runResult, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	res, ok := r.runs[key]
	return res, ok
}

func (r *results) close() error { return r.file.Close() }
