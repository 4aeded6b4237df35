package engine

import (
	"context"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/topology/client"
)

// joinAndFreeze makes a member of the group that takes its assignment and is not heard of any more. Whoever joins after it waits for
// it, for as long as it said that rebalances may take.
func joinAndFreeze(t *testing.T, cl *kgo.Client, group string, topics ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	name := "frozen"
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Topics = topics
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.InstanceID, join.ProtocolType = group, &name, "consumer"
	join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 60_000, 60_000
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: meta.AppendTo(nil)}}
	joined, err := join.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(joined.ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.InstanceID, sync.MemberID, sync.Generation = group, &name, joined.MemberID, joined.Generation
	sync.ProtocolType, sync.Protocol = &join.ProtocolType, &join.Protocols[0].Name
	sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: joined.MemberID}}
	synced, err := sync.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(synced.ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = kadm.NewClient(cl).LeaveGroup(context.Background(), kadm.LeaveGroup(group).InstanceIDs(name))
	})
}

// A stop must not wait for a rebalance that hangs on a slow peer: whoever stops the process would kill it before.
func TestAStopDoesNotWaitForPeersToJoin(t *testing.T) {
	for _, leave := range []bool{true, false} {
		t.Run(map[bool]string{true: "leaving", false: "keeping its place"}[leave], func(t *testing.T) {
			brokers := cluster(t)
			c := newCounting(t, brokers, 2)
			cl := newClient(t, brokers)
			joinAndFreeze(t, cl, c.first(), c.in())
			rt, err := New(Config{Kafka: client.Config{Brokers: brokers}, Instance: "joining", DataDir: t.TempDir(), LeaveOnStop: leave}, c.first(), func(rt *Runtime) Spec {
				return Spec{Graph: goka.DefineGroup(goka.Group(c.first()), rt.Input(c.in(), func(goka.Context, any) {}), goka.Persist(new(codec.Bytes)))}
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- rt.Run(ctx) }()
			adm := kadm.NewClient(cl)
			for state := ""; state != "PreparingRebalance"; {
				groups, err := adm.DescribeGroups(ctx, c.first())
				if err != nil {
					t.Fatal(err)
				}
				state = groups[c.first()].State
			}
			stop()
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("the stop waits for the rebalance")
			}
			groups, err := adm.DescribeGroups(context.Background(), c.first())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range groups[c.first()].Members {
				if leave && m.InstanceID != nil && *m.InstanceID == "joining" {
					t.Errorf("the group still has the instance that left it: %+v", m)
				}
			}
		})
	}
}
