package kafkatest

import (
	"testing"

	"weir/topology/client"
)

func TestKafkaAnswersAndIsStartedOnce(t *testing.T) {
	addr := Start(t)
	if again := Start(t); again != addr {
		t.Errorf("a second Kafka at %s, the first at %s", again, addr)
	}
	info, err := client.Probe(t.Context(), client.Config{Brokers: []string{addr}})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", info)
}

func TestNamesAreUnique(t *testing.T) {
	if a, b := Unique("orders"), Unique("orders"); a == b {
		t.Errorf("both are %s", a)
	}
}
