package sim

import "fmt"

// stream runs until nothing is left to do, group after group, and drops what was read.
func (c *Cluster) stream() error {
	for again := true; again; {
		again = false
		for _, g := range c.groups {
			worked, err := g.instances[0].pass()
			if err != nil {
				return fmt.Errorf("group %s: %w", g.Name, err)
			}
			again = again || worked
		}
	}
	for _, logs := range c.topics {
		for i := range logs {
			logs[i].drop()
		}
	}
	return nil
}

// pass processes all that there is to read, in the order in which it came, and commits. It reports whether there was anything to do.
func (in *instance) pass() (bool, error) {
	for {
		p, topic := in.earliest()
		if p == nil {
			break
		}
		if err := in.process(p, topic, 1); err != nil {
			return false, err
		}
	}
	if err := in.barrier(); err != nil {
		return false, err
	}
	if !in.open() && !in.markDue() {
		return false, nil
	}
	return true, in.commit()
}

// earliest finds the record that came first of those that are not read yet.
func (in *instance) earliest() (first *Partition, topic string) {
	least := int64(0)
	for _, p := range in.partitions {
		for _, name := range in.g.Inputs {
			logs := in.c.topics[name]
			if logs == nil {
				continue
			}
			log, at := &logs[p.num], p.position[name]
			if at == log.end() {
				continue
			}
			if seq := log.records[at-log.dropped].seq; first == nil || seq < least {
				first, topic, least = p, name, seq
			}
		}
	}
	return first, topic
}
