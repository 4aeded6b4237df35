package kafkatest

import (
	"errors"
	"os"
	"path/filepath"
)

// script finds .ci/kafka from the folder of the package under test upwards.
func script() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		path := filepath.Join(dir, ".ci", "kafka")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New(".ci/kafka is not found above the working folder; run the tests inside the repository")
		}
		dir = parent
	}
}

// haveJars tells whether .ci/kafka has fetched Kafka's jars before.
func haveJars() bool {
	pattern := filepath.Join(os.Getenv("KAFKA_JARS"), "complete")
	if os.Getenv("KAFKA_JARS") == "" {
		cache := os.Getenv("XDG_CACHE_HOME")
		if cache == "" {
			cache = filepath.Join(os.Getenv("HOME"), ".cache")
		}
		pattern = filepath.Join(cache, "weir", "kafka-*", "complete")
	}
	found, err := filepath.Glob(pattern)
	return err == nil && len(found) > 0
}
