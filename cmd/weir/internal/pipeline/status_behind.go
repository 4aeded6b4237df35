package pipeline

import (
	"cmp"
	"slices"

	"weir/topology"
	"weir/topology/engine"
	"weir/topology/event"
	"weir/topology/table"
	"weir/views/api"
	"weir/views/flow"
)

// behindKey is a partition of a table or of a group.
type behindKey struct {
	kind, name string
	partition  int32
}

// The kinds of what is behind, and the state of a table that is read.
const (
	behindTable = "table"
	behindGroup = "group"
	recovering  = "recovering"
)

// recoveries are the partitions that are behind, those first that take longest.
func (s *statusSource) recoveries(groups []api.GroupStatus, tables []groupView) []api.Recovery {
	out := []api.Recovery{}
	for _, t := range tables {
		out = append(out, s.tableRecoveries(t)...)
	}
	for _, g := range groups {
		out = append(out, s.groupRecoveries(g)...)
	}
	still := map[behindKey]int64{}
	for i := range out {
		r := &out[i]
		k := behindKey{r.Kind, r.Name, r.Partition}
		still[k] = max(s.begun[k], r.LagRecords)
		if still[k] > 0 {
			done := 1 - float64(r.LagRecords)/float64(still[k])
			r.Progress = &done
		}
	}
	s.begun = still
	slices.SortStableFunc(out, func(a, b api.Recovery) int { return cmp.Compare(left(b), left(a)) })
	return out
}

// left orders recoveries: what cannot be told comes first.
func left(r api.Recovery) float64 {
	if r.Left == nil {
		return 1e18
	}
	return *r.Left
}

// tableRecoveries are the partitions of a copy that this server is still reading.
func (s *statusSource) tableRecoveries(t groupView) (out []api.Recovery) {
	states, err := t.view.Partitions()
	if err != nil {
		return nil // readiness says why
	}
	topic := s.names.In(t.table)
	for _, p := range states {
		if p.Recovered {
			continue
		}
		r := api.Recovery{Kind: behindTable, Name: t.table, Partition: p.Partition, State: recovering, LagRecords: p.Lag}
		s.estimate(&r, flow.Key{Group: copyOf, Topic: topic}, 0)
		out = append(out, r)
	}
	return out
}

// groupRecoveries are the partitions of a group that do not keep up. A group's inputs are read side by side: the partition's rows are one.
func (s *statusSource) groupRecoveries(g api.GroupStatus) []api.Recovery {
	byPartition := map[int32]*api.Recovery{}
	for _, p := range g.Partitions {
		if p.State == api.PartitionRunning || p.LagRecords == 0 {
			continue
		}
		r := byPartition[p.Partition]
		if r == nil {
			r = &api.Recovery{Kind: behindGroup, Name: g.Name, Partition: p.Partition, Instance: p.Instance, State: p.State}
			byPartition[p.Partition] = r
		}
		one := api.Recovery{LagRecords: p.LagRecords}
		written, _ := s.history.PartitionRate(flow.Key{Topic: p.Topic}, int(p.Partition))
		one.Partition = p.Partition
		s.estimate(&one, flow.Key{Group: s.names.In(g.Name), Topic: p.Topic}, written)
		merge(r, &one)
	}
	var out []api.Recovery
	for _, r := range byPartition {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b api.Recovery) int { return cmp.Compare(a.Partition, b.Partition) })
	return out
}

// merge adds one input of a partition: it takes as long as the slowest; where one cannot be told, neither can they.
func merge(r, one *api.Recovery) {
	first := r.LagRecords == 0
	r.LagRecords += one.LagRecords
	r.Rate = plus(r.Rate, one.Rate)
	if first || one.Left != nil && r.Left != nil {
		r.Left = greater(r.Left, one.Left)
	} else {
		r.Left = nil
	}
}

// estimate says how fast a partition is read and how long the rest takes while so much is written to it.
func (s *statusSource) estimate(r *api.Recovery, reads flow.Key, written float64) {
	rate, ok := s.history.PartitionRate(reads, int(r.Partition))
	if !ok {
		return
	}
	r.Rate = &rate
	if d, ok := flow.Left(r.LagRecords, rate, written); ok {
		r.Left = seconds(d)
	}
}

// sources are the watermarks that the partitions of group orders keep of their inputs.
func (s *statusSource) sources() []api.SourceStatus {
	out := []api.SourceStatus{}
	states, err := s.views.Orders.Partitions()
	if err != nil {
		return out
	}
	for _, p := range states {
		row, err := s.rows.Row(s.names.In(topology.TableOrders), p.Partition, engine.MarksKey)
		var marks table.Marks
		if err != nil || row == nil || marks.UnmarshalVT(row) != nil {
			continue // it is not recovered yet
		}
		for _, m := range marks.Sources {
			if at := event.UnixMilli(m.WatermarkMs); at > 0 {
				out = append(out, api.SourceStatus{Topic: m.Source, Partition: p.Partition, Watermark: at.Time(), Idle: m.Idle})
			}
		}
	}
	compareSources(out)
	slices.SortFunc(out, func(a, b api.SourceStatus) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return out
}

// withWatermarks gives the inputs of group orders the event time that they have come to.
func withWatermarks(partitions []api.PartitionStatus, sources []api.SourceStatus) {
	for i := range partitions {
		p := &partitions[i]
		at := slices.IndexFunc(sources, func(s api.SourceStatus) bool { return s.Topic == p.Topic && s.Partition == p.Partition })
		if at >= 0 {
			p.Watermark = &sources[at].Watermark
		}
	}
}

// compareSources says how far each is behind the newest, and which one holds the others back.
func compareSources(all []api.SourceStatus) {
	if len(all) == 0 {
		return
	}
	newest := slices.MaxFunc(all, func(a, b api.SourceStatus) int { return a.Watermark.Compare(b.Watermark) }).Watermark
	holds := -1
	for i := range all {
		all[i].Behind = newest.Sub(all[i].Watermark).Seconds()
		if !all[i].Idle && (holds < 0 || all[i].Behind > all[holds].Behind) {
			holds = i
		}
	}
	if holds >= 0 && all[holds].Behind > 0 {
		all[holds].Holds = true
	}
}
