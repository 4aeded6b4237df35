// Package rulebook keeps the rules that are in force on a compacted topic: who changed what and when, and everything that was in
// force before. It treats the definitions as text; what they mean is the rule language's.
//
// In an event's journey it stands beside the groups: each process follows the topic (Store.Tail) and hands every new book to the
// groups, which take it at the border of a transaction. Changes come from the command line and from the API (Store.Write), and only
// on top of the newest book, so that none is lost.
//
//	book.go   Book: what a revision says; limits; versions
//	effect.go what lies between two documents
//	store.go  reading the book, and writing with one writer at a time
//	read.go   the topic from its beginning to what is committed
//	tail.go   following it
package rulebook
