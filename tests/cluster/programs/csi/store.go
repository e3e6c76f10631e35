package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// record is what is remembered of a volume or a snapshot, beside its folder.
type record struct {
	ID string `json:"id"`
	// Capacity in bytes.
	Capacity int64 `json:"capacity"`
	// Source is the volume of a snapshot, or the snapshot that a volume was made from.
	Source  string    `json:"source,omitempty"`
	Created time.Time `json:"created"`
}

// store keeps volumes and snapshots on disk: NAME.json says what NAME is.
type store struct {
	mutex  sync.Mutex
	folder string
}

const (
	ofVolumes   = "volumes"
	ofSnapshots = "snapshots"
)

func open(folder string) (*store, error) {
	for _, kind := range []string{ofVolumes, ofSnapshots} {
		if err := os.MkdirAll(filepath.Join(folder, kind), 0o755); err != nil {
			return nil, err
		}
	}
	return &store{folder: folder}, nil
}

func (s *store) data(kind, id string) string { return filepath.Join(s.folder, kind, id) }

// get gives what is remembered under an id; nil where there is nothing.
func (s *store) get(kind, id string) (*record, error) {
	text, err := os.ReadFile(s.data(kind, id) + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := &record{}
	return found, json.Unmarshal(text, found)
}

func (s *store) put(kind string, r *record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	file := s.data(kind, r.ID) + ".json"
	if err := os.WriteFile(file+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// fill makes the folder of a new volume or snapshot: empty, or a copy of another one. What an earlier try left is thrown away.
func (s *store) fill(kind string, r *record, from string) error {
	folder := s.data(kind, r.ID)
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	if from != "" {
		if output, err := exec.Command("cp", "--archive", "--reflink=auto", from+"/.", folder).CombinedOutput(); err != nil {
			return fmt.Errorf("copy %s: %w: %s", from, err, output)
		}
	}
	// Containers that don't run as root must be able to write.
	if err := os.Chmod(folder, 0o777); err != nil {
		return err
	}
	return s.put(kind, r)
}

func (s *store) remove(kind, id string) error {
	if err := os.Remove(s.data(kind, id) + ".json"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(s.data(kind, id))
}

func (s *store) all(kind string) ([]*record, error) {
	files, err := filepath.Glob(filepath.Join(s.folder, kind, "*.json"))
	if err != nil {
		return nil, err
	}
	var found []*record
	for _, file := range files {
		name := filepath.Base(file)
		r, err := s.get(kind, name[:len(name)-len(".json")])
		if err != nil {
			return nil, err
		}
		if r != nil {
			found = append(found, r)
		}
	}
	return found, nil
}
