package shop

import "math"

// random is splitmix64: eight bytes of state, so that each order can have its own and its life does not depend on what
// happens to others.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	return mix(uint64(*r))
}

// mix spreads the bits of x: neighbouring numbers become unrelated ones.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// float is uniform in [0, 1).
func (r *random) float() float64 { return float64(r.next()>>11) / (1 << 53) }

func (r *random) below(n int) int { return int(r.next() % uint64(n)) }

func (r *random) chance(p float64) bool { return r.float() < p }

// between is uniform in [low, high).
func (r *random) between(low, high float64) float64 { return low + (high-low)*r.float() }

// normal is by Box and Muller.
func (r *random) normal() float64 {
	return math.Sqrt(-2*math.Log(1-r.float())) * math.Cos(2*math.Pi*r.float())
}

// around is lognormal: half of it is below the median, and it is never negative.
func (r *random) around(median, sigma float64) float64 { return median * math.Exp(sigma*r.normal()) }

// exponential has mean 1.
func (r *random) exponential() float64 { return -math.Log(1 - r.float()) }

// choice is one of weighted alternatives.
type choice struct {
	value  string
	weight float64
}

func (r *random) pick(choices []choice) string {
	total := 0.0
	for i := range choices {
		total += choices[i].weight
	}
	at := r.float() * total
	for i := range choices {
		if at -= choices[i].weight; at < 0 {
			return choices[i].value
		}
	}
	return choices[len(choices)-1].value
}
