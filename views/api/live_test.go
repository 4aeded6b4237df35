package api

import (
	"encoding/json"
	"strings"
	"testing"

	"weir/topology/table"
	"weir/views/query"
)

// An order is pushed as the query API answers, without the meta that would change with every record.
func TestPushedOrderIsTheAnswerWithoutMeta(t *testing.T) {
	row := &table.Order{Created: true, CreatedAtMs: 1_767_268_800_000, Currency: "EUR", TotalMinor: 1999, CustomerId: "c-1"}
	answer, err := json.Marshal(orderOf("o-1", 3, row, query.Meta{}))
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := json.Marshal(liveOrder{Order: orderOf("o-1", 3, row, query.Meta{})})
	if err != nil {
		t.Fatal(err)
	}
	var want, got map[string]json.RawMessage
	for data, into := range map[string]*map[string]json.RawMessage{string(answer): &want, string(pushed): &got} {
		if err := json.Unmarshal([]byte(data), into); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := want["meta"]; !ok {
		t.Fatal("the answer has no meta any more: nothing has to be taken off")
	}
	delete(want, "meta")
	if len(got) != len(want) {
		t.Errorf("pushed: %s\nanswer: %s", pushed, answer)
	}
	for name, value := range want {
		if string(got[name]) != string(value) {
			t.Errorf("%s is pushed as %s, and answered as %s", name, got[name], value)
		}
	}
}

func TestStatusIsPushedInParts(t *testing.T) {
	st := &Status{Version: "1", Counters: map[string]int64{"late": 2}, Tables: []TableStatus{{Name: "weir-orders-table"}},
		Groups: []GroupStatus{{Name: "orders", LagRecords: 7, Partitions: []PartitionStatus{{Topic: "payments", Partition: 3, LagRecords: 7}}}}}
	rows, err := statusRows(st)
	if err != nil {
		t.Fatal(err)
	}
	for key, part := range map[string]string{"group/orders": `"lag_records":7`, "partition/orders/payments/3": `"lag_records":7`,
		"table/weir-orders-table": `"name":"weir-orders-table"`, "counters": `"late":2`, "version": `"1"`} {
		if !strings.Contains(string(rows[key]), part) {
			t.Errorf("row %s is %s", key, rows[key])
		}
	}
	for _, key := range []string{"time", "groups", "tables"} {
		if _, ok := rows[key]; ok {
			t.Errorf("%s is a row: it would change as a whole", key)
		}
	}
	if strings.Contains(string(rows["group/orders"]), "partitions") {
		t.Errorf("a group's row repeats its partitions: %s", rows["group/orders"])
	}
	if len(st.Groups[0].Partitions) != 1 {
		t.Error("telling the status has changed it")
	}
}
