package shop

import "time"

// market is a place where the shop sells.
type market struct {
	region, country, currency string
	share                     float64 // of all orders
	offset                    time.Duration
	minorOfCent               float64 // minor units of the currency for one euro cent
	network                   byte    // first byte of its shoppers' addresses
	methods                   []choice
	carriers                  []choice
	days                      float64 // median from dispatch to delivery
	declined                  float64 // share of payment attempts
	lockers                   float64 // share of shoppers who use a parcel locker
}

var (
	cardsFirst = []choice{{"card", 66}, {"paypal", 20}, {"apple_pay", 9}, {"google_pay", 5}}
	euroCards  = []choice{{"card", 52}, {"paypal", 24}, {"klarna", 12}, {"apple_pay", 7}, {"bank_transfer", 5}}
	german     = []choice{{"paypal", 34}, {"card", 26}, {"klarna", 24}, {"sepa_debit", 16}}
	dutch      = []choice{{"ideal", 61}, {"card", 19}, {"paypal", 10}, {"klarna", 10}}
	brazilian  = []choice{{"card", 48}, {"pix", 38}, {"boleto", 14}}
	mexican    = []choice{{"card", 70}, {"oxxo", 22}, {"paypal", 8}}
	japanese   = []choice{{"card", 68}, {"konbini", 20}, {"paypay", 12}}
	kuwaiti    = []choice{{"knet", 62}, {"card", 38}}

	europe  = []choice{{"dhl", 46}, {"dpd", 24}, {"gls", 16}, {"ups", 14}}
	britain = []choice{{"royal_mail", 44}, {"dpd", 30}, {"evri", 26}}
	america = []choice{{"ups", 38}, {"usps", 34}, {"fedex", 28}}
	latin   = []choice{{"correios", 58}, {"dhl", 24}, {"fedex", 18}}
	pacific = []choice{{"yamato", 52}, {"sagawa", 30}, {"dhl", 18}}
	austral = []choice{{"auspost", 70}, {"dhl", 30}}
	gulf    = []choice{{"aramex", 76}, {"dhl", 24}}
)

var markets = []market{
	{"us-east", "US", "USD", 0.19, -5 * time.Hour, 1.08, 23, cardsFirst, america, 2.6, 0.09, 0.03},
	{"us-west", "US", "USD", 0.13, -8 * time.Hour, 1.08, 24, cardsFirst, america, 2.9, 0.09, 0.03},
	{"us-east", "CA", "CAD", 0.04, -5 * time.Hour, 1.48, 47, cardsFirst, america, 3.4, 0.08, 0.03},
	{"eu-central", "DE", "EUR", 0.16, time.Hour, 1, 84, german, europe, 1.4, 0.05, 0.14},
	{"eu-central", "AT", "EUR", 0.02, time.Hour, 1, 85, german, europe, 1.8, 0.05, 0.1},
	{"eu-west", "FR", "EUR", 0.09, time.Hour, 1, 86, euroCards, europe, 1.9, 0.07, 0.14},
	{"eu-west", "NL", "EUR", 0.05, time.Hour, 1, 87, dutch, europe, 1.3, 0.03, 0.1},
	{"eu-west", "GB", "GBP", 0.10, 0, 0.85, 81, cardsFirst, britain, 1.7, 0.06, 0.09},
	{"eu-south", "ES", "EUR", 0.04, time.Hour, 1, 88, euroCards, europe, 2.4, 0.08, 0.08},
	{"eu-south", "IT", "EUR", 0.04, time.Hour, 1, 93, euroCards, europe, 2.6, 0.08, 0.08},
	{"eu-north", "SE", "SEK", 0.03, time.Hour, 11.4, 94, euroCards, europe, 2.0, 0.05, 0.22},
	{"latam", "BR", "BRL", 0.04, -3 * time.Hour, 5.9, 177, brazilian, latin, 5.5, 0.14, 0.02},
	{"latam", "MX", "MXN", 0.02, -6 * time.Hour, 20.1, 187, mexican, latin, 4.8, 0.15, 0.03},
	{"apac", "JP", "JPY", 0.03, 9 * time.Hour, 1.62, 126, japanese, pacific, 1.2, 0.04, 0.12}, // no minor unit: 1 cent is 1.62 yen
	{"apac", "AU", "AUD", 0.015, 10 * time.Hour, 1.65, 101, cardsFirst, austral, 3.8, 0.07, 0.06},
	{"me", "KW", "KWD", 0.005, 3 * time.Hour, 3.3, 178, kuwaiti, gulf, 3.2, 0.08, 0.01}, // three decimals
}

// hours are the shoppers' activity over their own day, from midnight.
var hours = [24]float64{
	0.55, 0.32, 0.20, 0.14, 0.13, 0.18, 0.36, 0.62, 0.86, 1.06, 1.20, 1.26,
	1.28, 1.22, 1.16, 1.14, 1.16, 1.24, 1.38, 1.62, 1.84, 1.80, 1.44, 0.96,
}

// activity is the share of the mean rate at a time of the market's day.
func (m *market) activity(at time.Time) float64 {
	local := at.Add(m.offset)
	from := local.Hour()
	part := float64(local.Minute()*60+local.Second()) / 3600
	return (hours[from]*(1-part) + hours[(from+1)%24]*part) * hoursScale
}

var hoursScale = func() float64 {
	sum := 0.0
	for _, h := range hours {
		sum += h
	}
	return float64(len(hours)) / sum
}()

// demand is how the orders of one minute spread over markets.
type demand struct {
	minute     int64
	rhythm     bool
	factor     float64 // of the mean rate
	cumulative [16]float64
}

// maxFactor bounds factor: no market is ever busier.
var maxFactor = func() float64 {
	busiest := 0.0
	for _, h := range hours {
		busiest = max(busiest, h)
	}
	return busiest * hoursScale
}()

// at moves to the minute of ms.
func (d *demand) at(ms int64) {
	minute := ms / 60_000
	if minute == d.minute {
		return
	}
	d.minute = minute
	t := time.UnixMilli(ms).UTC()
	sum := 0.0
	for i := range markets {
		weight := markets[i].share
		if d.rhythm {
			weight *= markets[i].activity(t)
		}
		sum += weight
		d.cumulative[i] = sum
	}
	d.factor = sum
}

func (d *demand) market(r *random) int {
	at := r.float() * d.factor
	for i := range markets {
		if at < d.cumulative[i] {
			return i
		}
	}
	return len(markets) - 1
}
