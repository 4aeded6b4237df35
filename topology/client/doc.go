// Package client is the one place where connections to Kafka are configured: addresses, TLS, SASL, and what a person is
// told when a connection fails. It also holds what every program that talks to weir's topics must agree on: the topics'
// shapes (EnsureTopics) and the partition of a key (Partition).
//
// In the journey of an event it stands at every edge between weir and Kafka. It knows no group and no table.
package client
