// Package webhook tells receivers outside weir about alerts: it is the last step of an event's journey. It reads the topic alerts and
// posts what each receiver wants to its URL, as the CloudEvent that it is, as a Slack message or as an alert of Alertmanager.
//
// Kafka is the queue. Each receiver has a consumer group of its own, so a slow or dead one delays nobody else, and positions are
// committed only up to the first event that is neither delivered nor in the dead letters: at least once. What may come twice, after
// a crash or a lost answer, has the same webhook-id. An entity's events are sent one after the other, in the order of the topic;
// those of different entities side by side.
//
// A receiver checks a signature in a few lines: the message is id, time and body as they came, joined by points.
//
//	mac := hmac.New(sha256.New, secret) // of "whsec_…": the decoded base64 after the underscore
//	fmt.Fprintf(mac, "%s.%s.%s", header("webhook-id"), header("webhook-timestamp"), body)
//	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
//	ok := slices.ContainsFunc(strings.Fields(header("webhook-signature")), func(s string) bool { return hmac.Equal([]byte(s), []byte(want)) })
//
// It should also refuse a webhook-timestamp that is more than five minutes away and a webhook-id that it has seen. This is the
// scheme of standardwebhooks.com, whose libraries do it.
//
//	receiver.go      what a receiver is and which alerts it wants
//	alert.go         the CloudEvent, as far as it is looked into
//	format.go        bodies: slack.go, alertmanager.go
//	sign.go          secrets and signatures
//	answer.go        what an answer means: done, again, never
//	schedule.go      what is sent next, and what may be committed; pure (heads.go: its heap)
//	deliver.go       sends what the schedule says (clock, goroutines)
//	http.go          one request
//	consumer.go      the consumer group (Kafka)
//	letter.go        dead letters (Kafka)
package webhook
