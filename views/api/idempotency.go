package api

import (
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/danielgtaylor/huma/v2"
)

// IdempotencyKey is the header of writes that a client may repeat without knowing whether they were done.
type IdempotencyKey struct {
	Key string `header:"Idempotency-Key" maxLength:"128" doc:"a text of your choice, the same in each repetition: it is done once, and a repetition gets the first answer. Kept for the newest 1,000 keys, until the server ends"`
}

// maxReplies bounds the answers that are kept for repetitions.
const maxReplies = 1_000

// replies are the answers to writes, by operation and key.
type replies struct {
	mu    sync.Mutex
	known map[string]*reply
	order []string // oldest first
}

type reply struct {
	request uint64 // hash of what was asked for
	answer  any    // nil: it is being done
}

// once does a write for the first request with its key, and gives later ones its answer. One that failed is forgotten: it may be
// repeated. Without a key it is done each time.
func once[T any](r *replies, operation, key, request string, do func() (*T, error)) (*T, error) {
	if key == "" {
		return do()
	}
	id, sum := operation+"\x00"+key, xxhash.Sum64String(request)
	r.mu.Lock()
	if known := r.known[id]; known != nil {
		defer r.mu.Unlock()
		switch answer, _ := known.answer.(*T); {
		case known.request != sum:
			return nil, wrongField("header.Idempotency-Key", "was used for another request; take a new key for each", key)
		case answer == nil:
			return nil, huma.Error409Conflict("the first request with this Idempotency-Key is not done yet; repeat it in a moment")
		default:
			return answer, nil
		}
	}
	if r.known == nil {
		r.known = map[string]*reply{}
	}
	mine := &reply{request: sum}
	r.known[id] = mine
	r.order = append(r.order, id)
	if len(r.order) > maxReplies {
		delete(r.known, r.order[0])
		r.order = r.order[1:]
	}
	r.mu.Unlock()

	answer, err := do()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		delete(r.known, id)
		return nil, err
	}
	mine.answer = answer
	return answer, nil
}
