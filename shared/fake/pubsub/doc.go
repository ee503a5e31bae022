// Package pubsub is a Pub/Sub with push subscriptions inside one process, for
// tests and for the local run.
//
// Google's own in-process server (pstest) has the API but neither push nor retry back-off
// (shared/googlecalendar/README.md), on which this product's workers depend. This package
// adds them: a [Dispatcher] delivers messages to push endpoints, with acknowledgement
// deadlines, exponential back-off, delivery attempts and dead-lettering as Google
// documents them; a [Server] puts pstest's API in front of a Dispatcher, so that the
// product's ordinary client publishes to it.
//
// A message goes from its publisher to its endpoint without any polling. The
// Dispatcher alone uses no network where subscriptions name a Handler, so it runs
// inside a testing/synctest bubble; a Server uses gRPC and does not.
//
// Left out, because the product uses none of it: ordering keys are carried but not
// obeyed, filters, exactly-once delivery, schemas on push, and the OIDC token of a
// push (IAM checks that before a function sees the request). This package must never
// be imported by product code that runs in the cloud.
package pubsub
