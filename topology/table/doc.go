// Package table holds the rows that group tables keep and the records that groups send each other (Protobuf; rows.proto is
// the contract, generate.sh makes the Go from it). Processors write these rows, views read them.
package table
