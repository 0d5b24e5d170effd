package memberclient

import (
	"context"
	"crypto/tls"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"

	"github.com/understudy-db/understudy/api/member"
)

// Leadership tells whether this process may act, by the same clock as Config.Clock.
type Leadership interface {
	// Until is the reading until which this process leads for sure; not after now: it does not.
	Until() time.Duration
	// Since is when it began to lead without a break.
	Since() time.Duration
	// Identity names the process in orders, for logs.
	Identity() string
}

// Config is what all connections share.
type Config struct {
	Clock      func() time.Duration
	Leadership Leadership
	// Wake is called when a fact about a set changed. It must not block.
	Wake func(types.NamespacedName)
	Log  logr.Logger
}

// Endpoint is a member to be connected to.
type Endpoint struct {
	Name  string
	Voter member.Voter
	Addr  string // host:port of the management listener
}

// Credentials are what the operator shows to the members of one set.
type Credentials struct {
	// TLS makes the configuration of a dial to the named member, so that a renewed certificate is used
	// from the next dial on.
	TLS func(member string) *tls.Config
}

// Pool holds the sets. Close ends every connection and waits for the goroutines.
type Pool struct {
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc
	work   work

	mu   sync.Mutex
	sets map[types.NamespacedName]*Set
}

// NewPool makes an empty pool.
func NewPool(cfg Config) *Pool {
	ctx, cancel := context.WithCancel(context.Background())
	return &Pool{cfg: cfg, ctx: ctx, cancel: cancel, sets: map[types.NamespacedName]*Set{}}
}

// Set is the set of this name and UID. A set made again under the same name starts with no facts.
func (p *Pool) Set(key types.NamespacedName, uid types.UID) *Set {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sets[key]
	if s != nil && s.uid != string(uid) {
		s.close()
		s = nil
	}
	if s == nil {
		s = newSet(p, key, string(uid))
		p.sets[key] = s
	}
	return s
}

// Known is the set of this name if it has been asked for before, else nil.
func (p *Pool) Known(key types.NamespacedName) *Set {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sets[key]
}

// Forget drops a set that no longer exists.
func (p *Pool) Forget(key types.NamespacedName) {
	p.mu.Lock()
	s := p.sets[key]
	delete(p.sets, key)
	p.mu.Unlock()
	if s != nil {
		s.close()
	}
}

// Close ends all connections.
func (p *Pool) Close() {
	p.cancel()
	p.mu.Lock()
	for key, s := range p.sets {
		s.close()
		delete(p.sets, key)
	}
	p.mu.Unlock()
	p.work.end()
}

// work counts goroutines. A reconcile may still be connecting members while the pool is closed: what it starts then is
// not started at all.
type work struct {
	mu    sync.Mutex // a leaf: held while no other lock is taken
	ended bool
	wg    sync.WaitGroup
}

func (w *work) start(fn func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.wg.Go(fn)
	}
}

func (w *work) end() {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	w.wg.Wait()
}
