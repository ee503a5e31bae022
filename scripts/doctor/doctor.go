package main

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/erp-calendar/erp-calendar/shared/calendarsync"
	"github.com/erp-calendar/erp-calendar/shared/config"
	"github.com/erp-calendar/erp-calendar/shared/grant"
	"github.com/erp-calendar/erp-calendar/shared/i18n"
	"github.com/erp-calendar/erp-calendar/shared/seal"
	"github.com/erp-calendar/erp-calendar/shared/store"
	"github.com/erp-calendar/erp-calendar/shared/userside"
)

// surroundings are what the doctor reaches the world by.
type surroundings struct {
	lookup    func(string) (string, bool)
	transport http.RoundTripper
	now       func() time.Time
	terminal  bool
	database  func(ctx context.Context, cfg config.Store) (store.Backend, error)
	topics    func(ctx context.Context, project string) (topicReader, error)
	cipher    func(ctx context.Context, cfg config.TokenKey) (seal.Cipher, error)
}

// topicReader reads topics without publishing; queue/pubsub's Publisher is one.
type topicReader interface {
	TopicExists(ctx context.Context, name string) error
	Close() error
}

// doctor carries what one check finds to those that need it. A field is written by
// one check only, and read by checks that wait for that one.
type doctor struct {
	surroundings
	env struct {
		store    config.Store
		erp      config.ERP
		client   config.OAuthClient
		sites    config.Sites
		admins   config.Admins
		token    config.TokenKey
		topics   config.Topics
		budget   config.Budget
		google   config.Google
		defaults config.DefaultSettings
	}

	erp      *userside.Client
	answers  map[string]userside.Probe // by category
	clock    userside.Clock
	states   calendarsync.Catalogue
	readings map[calendarsync.EmployeeID]calendarsync.EmployeeReading
	captions map[calendarsync.FieldID]string
	// sample are some of the tasks to show.
	sample []calendarsync.TaskID

	settings    calendarsync.Settings
	settingsSet bool // complete and sound

	backend store.Backend
	state   *store.Store
	account store.AccountRecord
	sealer  seal.Cipher

	redirectURI string
	provider    provider
	grants      *grant.Source

	english i18n.Texts // of the cures

	mu     sync.Mutex
	closes []func() error
}

func newDoctor(with surroundings) *doctor { return &doctor{surroundings: with} }

// closeLater ends a client when the examination is over.
func (d *doctor) closeLater(f func() error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closes = append(d.closes, f)
}

func (d *doctor) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range slices.Backward(d.closes) {
		_ = f() // the findings are there; a connection that does not end well changes none
	}
}

// The groups, in the order of the report.
const (
	groupEnvironment = "Environment"
	groupERP         = "ERP"
	groupEmployees   = "Employees"
	groupSettings    = "Settings"
	groupOAuth       = "Google sign-in"
	groupAccount     = "Central account"
	groupCloud       = "Google Cloud project"
)

// checks lists everything that is examined. What a check waits for stands before
// it in the list of dependencies, not necessarily on the page: the report keeps
// this order.
func (d *doctor) checks() []check {
	return slices.Concat(d.environmentChecks(), d.cloudChecks(), d.settingsChecks(), d.erpChecks(), d.employeeChecks(), d.oauthChecks(), d.accountChecks())
}

func itoa[T ~int | ~int64](n T) string { return strconv.FormatInt(int64(n), 10) }
