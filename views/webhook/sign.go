package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Secrets are what requests are signed with: one, or two while one takes the place of the other. A receiver accepts a request
// when one of its signatures is right.
type Secrets []string

const (
	maxSecrets     = 2
	minSecretBytes = 16
	standardSecret = "whsec_" // before base64, as standardwebhooks.com writes them
)

// UnmarshalYAML reads one secret or a list.
func (s *Secrets) UnmarshalYAML(decode func(any) error) error {
	var one string
	if decode(&one) == nil {
		*s = Secrets{one}
		return nil
	}
	var list []string
	if err := decode(&list); err != nil {
		return err
	}
	*s = list
	return nil
}

// keys are the bytes of the secrets. Errors do not show them.
func (s Secrets) keys() ([][]byte, error) {
	if len(s) > maxSecrets {
		return nil, fmt.Errorf("has %d secrets; while one takes the place of the other there are two", len(s))
	}
	var keys [][]byte
	for _, text := range s {
		key := []byte(text)
		if encoded, ok := strings.CutPrefix(text, standardSecret); ok {
			var err error
			if key, err = base64.StdEncoding.DecodeString(encoded); err != nil {
				return nil, errors.New("begins with whsec_ and goes on with what is no base64")
			}
		}
		if strings.Contains(text, Hidden) {
			return nil, fmt.Errorf("is the mark %q of a secret that was not shown; write the secret itself, or use secret_file", Hidden)
		}
		if len(key) < minSecretBytes {
			return nil, fmt.Errorf("has fewer than %d bytes; `openssl rand -hex 32` makes a good one", minSecretBytes)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// signature is the value of webhook-signature: one for each key.
func signature(keys [][]byte, id string, at time.Time, body []byte) string {
	all := make([]string, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		all[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(all, " ")
}
