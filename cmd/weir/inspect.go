package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/topology"
	"weir/topology/client"
	"weir/topology/table"
	"weir/views/api"
	"weir/views/query"
)

func newInspect(sys system) *cobra.Command {
	order := below(sys, "inspect", "order ID", &cobra.Command{
		Short: "Show an order: facts, money, states and every event applied",
		Long: long(`Shows an order as weir keeps it: facts, money, states, and every event applied with where it stands in Kafka.`,
			`It asks the view server (--server), or, where --brokers is given, reads the table's topic itself: only what is committed.`),
		Example: `  weir inspect order o-1001
  weir inspect order o-1001 --server http://weir:8080
  weir inspect order o-1001 --brokers kafka:9092
  weir inspect order o-1001 --format json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return &usageError{errors.New("name one order: weir inspect order ID")}
			}
			return nil
		},
	}, inspectOrder)
	return parent(&cobra.Command{
		Use:   "inspect",
		Short: "Show one row with its history",
		Long:  "Shows one row with its history. There are rows of: order.",
	}, order)
}

const inspectWithin = 30 * time.Second

func inspectOrder(ctx context.Context, a *app, args []string) error {
	ctx, cancel := context.WithTimeout(ctx, inspectWithin)
	defer cancel()
	if err := a.onlyFormats("text", "json"); err != nil {
		return err
	}
	fromKafka := a.Inspect.From == "kafka" || a.Inspect.From == "auto" && a.isGiven("kafka.brokers") && !a.isGiven("inspect.server")
	ask := a.askServer
	if fromKafka {
		ask = a.readOrder
	}
	body, err := ask(ctx, args[0])
	if err != nil {
		return err
	}
	if a.Output.Format == "json" {
		_, err := a.out.Write(append(bytes.TrimRight(body, "\n"), '\n'))
		return err
	}
	var o api.Order
	if err := json.Unmarshal(body, &o); err != nil {
		return fmt.Errorf("the answer is no order: %w; is this a weir server of the same version?", err)
	}
	return printOrder(a.out, &o)
}

// askServer gets an order's JSON from the view server.
func (a *app) askServer(ctx context.Context, id string) ([]byte, error) {
	target := strings.TrimSuffix(a.Inspect.Server, "/") + "/v1/orders/" + url.PathEscape(id)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, fmt.Errorf("inspect.server: %w; write it like http://127.0.0.1:8080", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the view server does not answer: %w; start it (`weir up`, `weir serve`), name it with --server, or read Kafka with --brokers", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return nil, fmt.Errorf("reading the view server's answer: %w", err)
	}
	return orderBody(resp.StatusCode, body, a.Inspect.Server)
}

// orderBody is the body of an answer, or the problem in it.
func orderBody(status int, body []byte, from string) ([]byte, error) {
	if status == http.StatusOK {
		return body, nil
	}
	var problem struct{ Title, Detail string }
	if json.Unmarshal(body, &problem) == nil && cmp.Or(problem.Detail, problem.Title) != "" {
		return nil, errors.New(cmp.Or(problem.Detail, problem.Title))
	}
	return nil, fmt.Errorf("%s answers with status %d; is it a weir server?", from, status)
}

// readOrder gets the JSON that a view server would give, from the table's topic.
func (a *app) readOrder(ctx context.Context, id string) ([]byte, error) {
	if _, err := a.probe(ctx); err != nil {
		return nil, err
	}
	row, partition, err := a.scanOrder(ctx, id)
	if err != nil {
		return nil, err
	}
	if row == nil {
		return nil, fmt.Errorf("there is no order %q in partition %d of %s", id, partition, a.Names().In(topology.TableOrders))
	}
	var w answer
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/v1/orders/"+url.PathEscape(id), nil)
	if err != nil {
		return nil, err
	}
	api.New(api.Deps{Orders: oneOrder{row, partition}, Version: buildVersion()}).ServeHTTP(&w, r)
	return orderBody(cmp.Or(w.status, http.StatusOK), w.body.Bytes(), "the table")
}

// oneOrder is a table of one row, so that the answer is made by the same code as the server's.
type oneOrder struct {
	row       *table.Order
	partition int32
}

func (o oneOrder) Get(string) (*table.Order, int32, error) { return o.row, o.partition, nil }
func (o oneOrder) Progress() query.Progress                { return query.Progress{Present: 1, Expected: 1} }

// answer keeps what a handler writes.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *answer) Header() http.Header {
	if w.header == nil {
		w.header = http.Header{}
	}
	return w.header
}
func (w *answer) WriteHeader(status int)      { w.status = status }
func (w *answer) Write(b []byte) (int, error) { return w.body.Write(b) }

// scanOrder reads the order's partition of the table from its beginning to what is committed now.
func (a *app) scanOrder(ctx context.Context, id string) (*table.Order, int32, error) {
	topic := a.Names().In(topology.TableOrders)
	admin, err := a.connect()
	if err != nil {
		return nil, 0, err
	}
	defer admin.Close()
	adm := kadm.NewClient(admin)
	if err := a.needTopics(ctx, admin, topic); err != nil {
		return nil, 0, err
	}
	// Under read-committed the end is the last stable offset: open transactions lie behind it.
	ends, err := adm.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, 0, client.Diagnose(a.Kafka, err)
	}
	partition := client.Partition([]byte(id), int32(len(ends[topic])))
	end, _ := ends.Lookup(topic, partition)
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, 0, client.Diagnose(a.Kafka, err)
	}
	if start, ok := starts.Lookup(topic, partition); ok && start.Offset >= end.Offset {
		return nil, partition, nil
	}
	cl, err := a.connect(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // the last record is usually a commit marker
	)
	if err != nil {
		return nil, 0, err
	}
	defer cl.Close()
	value, err := lastValue(ctx, cl, id, end.Offset)
	if err != nil {
		return nil, 0, client.Diagnose(a.Kafka, err)
	}
	if value == nil {
		return nil, partition, nil
	}
	row := new(table.Order)
	if err := row.UnmarshalVT(value); err != nil {
		return nil, 0, fmt.Errorf("the row of order %q cannot be decoded: %w", id, err)
	}
	return row, partition, nil
}

// quiet is how long a poll may bring nothing before the end counts as reached: records before it may be gone by compaction.
const quiet = 3 * time.Second

// lastValue is the value of the last record with a key before end; nil where it was deleted or never there.
func lastValue(ctx context.Context, cl *kgo.Client, key string, end int64) ([]byte, error) {
	var value []byte
	for at := int64(0); at < end; {
		poll, cancel := context.WithTimeout(ctx, quiet)
		fetches := cl.PollFetches(poll)
		cancel()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("the table was not read within %v; %w", inspectWithin, ctx.Err())
		}
		if poll.Err() != nil && fetches.NumRecords() == 0 {
			break
		}
		if err := fetches.Err0(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		}
		for r := range fetches.RecordsAll() {
			if r.Offset < end && !r.Attrs.IsControl() && string(r.Key) == key {
				value = r.Value
			}
			at = r.Offset + 1
		}
	}
	return value, nil
}
