package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-db/understudy/api/member"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/fsys"
	"github.com/understudy-db/understudy/server/link"
	"github.com/understudy-db/understudy/server/manage"
	"github.com/understudy-db/understudy/server/manage/mtls"
	"github.com/understudy-db/understudy/server/oplog"
	"github.com/understudy-db/understudy/server/saving"
	"github.com/understudy-db/understudy/server/settings"
	"github.com/understudy-db/understudy/server/snapshot"
	"github.com/understudy-db/understudy/server/supervise"
)

// disk is where the server keeps its files. Tests put one in its place that loses what was not synced.
var disk fsys.FS = fsys.OS{}

// memberParts are what a managed server has besides.
type memberParts struct {
	child  *supervise.Child
	driver *manage.Driver
	state  manage.State // outlives the process
	data   manage.State // lives where the data set's file does
}

// managedLinks connects replication with the fencing machine; nil for a server that nobody manages. The driver exists
// before the first link does: see bring.
func (a *App) managedLinks() *link.Managed {
	if !a.Settings.Bool(settings.Managed) {
		return nil
	}
	m := &memberParts{}
	a.member = m
	return &link.Managed{
		Hello:    func() string { return m.driver.Hello() },
		Offer:    func(answer string) string { return m.driver.Offer(answer) },
		Admit:    func(hello string) (string, string) { return m.driver.Admit(hello) },
		AckWords: func(offset int64, silent time.Duration) []string { return m.driver.AckWords(offset, silent) },
		Vouched:  func(words []string) { m.driver.Vouched(words) },
		Joined:   func(full bool) { m.driver.Joined(full); a.saver.NoteAux() },
		Lost:     func() { m.driver.Lost(); a.saver.NoteAux() },

		Synchronous: func() int { return m.driver.Synchronous() },
	}
}

// prepareManaged makes the driver, and the identity under which it will listen. The lineage is the driver's to tell: no file of the data
// set may be written before.
func (a *App) prepareManaged(loaded saving.Loaded) (*mtls.Identity, error) {
	child, ok, err := supervise.FromEnvironment()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errors.New("managed needs supervise: start the server with --supervise --managed")
	}
	cfg := a.Settings
	history, err := historyOf(loaded)
	if err != nil {
		return nil, err
	}
	a.member.state = manage.State{FS: disk, Dir: cmp.Or(cfg.String(settings.StateDir), cfg.Dir())}
	if err := a.recallPassword(); err != nil {
		return nil, err
	}
	id, err := mtls.New(cfg.String(settings.ManagementCertDir), cfg.String(settings.SetUID))
	if err != nil {
		return nil, err
	}
	whole, err := a.member.recallClean(loaded, cfg.Dir(), cfg.Bool(settings.AppendOnly))
	if err != nil {
		return nil, err
	}
	o := manage.Options{
		Identity: member.Identity{SetUID: cfg.String(settings.SetUID), Name: cfg.String(settings.PodName),
			Voter: member.Voter(cfg.String(settings.PodUID)), Incarnation: child.Incarnation},
		State: a.member.state, Gate: a.Engine.Gate(), Commit: a.Engine.Commit(), Node: memberNode{a}, History: history, Whole: whole,
		DataDir: cfg.Dir(), Deaths: child.Deaths, Logf: a.logger.Noticef,
	}
	if a.password != nil {
		o.Password = a.password.Read
	}
	d, err := manage.New(o)
	if err != nil {
		return nil, err
	}
	a.member.child, a.member.driver = child, d
	return id, nil
}

// startManaged parks the server and begins to listen to the operator.
func (a *App) startManaged(id *mtls.Identity) error {
	child, d := a.member.child, a.member.driver
	a.Engine.RegisterInfo("understudy", a.primaryInfo)
	a.Engine.RegisterInfo("understudy", func(w *engine.InfoWriter) { w.Field("divergent_tail_file", d.Divergent()) })
	d.Start()
	a.work.Go(func() {
		if err := d.Serve(child.Management, id); !errors.Is(err, net.ErrClosed) {
			a.logger.Warningf("management listener: %v", err)
		}
	})
	if err := a.serveProbes(child.HTTPSocket); err != nil {
		return err
	}
	return child.Ready()
}

func (a *App) serveProbes(socket string) error {
	if err := os.Remove(socket); err != nil && !fsys.IsNotExist(err) {
		return err
	}
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	a.probes = manage.HTTPServer(manage.Probes(a.member.driver.Ready, a.metrics))
	a.work.Go(func() { _ = a.probes.Serve(ln) }) // ends when closed
	return nil
}

func (a *App) closeManaged() {
	if a.member == nil || a.member.driver == nil {
		return
	}
	_ = a.member.child.Management.Close() // shared with the supervisor, which goes on listening
	a.member.driver.Close()
}

// lastWords is for how long a relieved master stays, so that its answer is read before its connections break.
const lastWords = 200 * time.Millisecond

// handOver asks to be relieved and waits for it, at most so long.
func (a *App) handOver(limit time.Duration) {
	d := a.member.driver
	if d == nil {
		return
	}
	role, _ := d.Role()
	d.Leave("the process was told to end")
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if d.Relieved() {
			if role == member.RoleMaster {
				time.Sleep(lastWords)
			}
			return
		}
	}
	a.logger.Warningf("not relieved within %v, ending as master", limit)
}

// recallClean tells whether what was just loaded is all that this member ever held: it ended in order, or it never held
// anything that its append-only file did not (appendfsync always). That file may go on for a little behind the mark.
func (m *memberParts) recallClean(loaded saving.Loaded, dir string, appended bool) (whole bool, err error) {
	m.data = manage.State{FS: disk, Dir: dir}
	mark, err := m.data.TakeClean()
	switch {
	case err != nil, !loaded.Found, loaded.ReplID == "":
		return false, err
	case loaded.Durable:
		return true, nil
	case mark == nil || loaded.ReplID != mark.ReplID:
		return false, nil
	}
	return loaded.ReplOffset == mark.Offset || appended && loaded.ReplOffset > mark.Offset, nil
}

// saveLast is the save before the end. What a member has at that moment is all that it ever says it has, so that its
// successor may call itself whole.
func (a *App) saveLast(save func() error) error {
	if a.member == nil || a.member.driver == nil {
		return save()
	}
	whole := a.member.driver.Retire()
	if err := save(); err != nil {
		a.member.driver.Unretire()
		return err
	}
	if !whole {
		return nil
	}
	var at snapshot.Meta
	var ok bool
	a.Engine.Shared(func() { at, ok = a.node.Place() })
	if !ok {
		return nil
	}
	if err := a.member.data.SaveClean(manage.Clean{ReplID: at.ReplID, Offset: at.ReplOffset}); err != nil {
		a.logger.Warningf("The mark of a clean shutdown cannot be written, the next process has to catch up before it counts: %v", err)
	}
	return nil
}

func encodeHistory(h member.History) string {
	text, err := json.Marshal(h)
	if err != nil {
		panic("app: " + err.Error()) // plain structs
	}
	return string(text)
}

// historyOf is the lineage of what was loaded. Data of a file that tells none (written by another server) gets one of
// its own: it is no empty data set, and unrelated to everybody else's (S2).
func historyOf(loaded saving.Loaded) (member.History, error) {
	text, ok := loaded.Aux[historyField]
	switch {
	case ok:
		var h member.History
		if err := json.Unmarshal([]byte(text), &h); err != nil {
			return nil, fmt.Errorf("the file's field %s: %w", historyField, err)
		}
		return h.Until(max(loaded.ReplOffset, 0)), nil
	case loaded.Keys == 0:
		return nil, nil
	case loaded.ReplID != "":
		return member.History{{ReplID: loaded.ReplID}}, nil
	}
	return member.History{{ReplID: oplog.RandomID()}}, nil
}

// memberNode is the server as the driver sees it.
type memberNode struct{ a *App }

func (n memberNode) Park() {
	n.a.node.Park()
	n.a.logger.SetReplica(true)
	n.a.transport.RoleLost()
}

func (n memberNode) Follow(up member.Upstream) {
	host, port, err := net.SplitHostPort(up.Addr)
	number, err2 := strconv.ParseUint(port, 10, 16)
	if err != nil || err2 != nil {
		n.a.logger.Warningf("told to follow %q, which is no address", up.Addr)
		n.a.node.Park()
		return
	}
	n.a.node.Follow(settings.Upstream{Host: host, Port: int(number)})
	n.a.logger.SetReplica(true)
}

func (n memberNode) Lead(replid string) int64 {
	offset := n.a.node.Lead(replid)
	n.a.logger.SetReplica(false)
	return offset
}

func (n memberNode) Remember() { n.a.Engine.Exclusive(n.a.saver.NoteAux) }

// settleTime is for how long a pause waits for replies that are on their way out.
const settleTime = 50 * time.Millisecond

// Pause returns when the replies of what was executed before have left: once the term has ended they may not (S1).
func (n memberNode) Pause(d time.Duration) {
	n.a.Engine.Pause(engine.PauseWrites, d)
	n.a.transport.Settle(settleTime)
}

func (n memberNode) CloseClients() {
	n.a.transport.CountDropped(n.a.Sessions.CloseNormal("the role has moved"))
}

func (n memberNode) DropFeeds() { n.a.node.DropFeeds() }
func (n memberNode) Resume()    { n.a.Engine.Unpause() }
func (n memberNode) Heartbeat() { n.a.node.Heartbeat() }

func (n memberNode) Tail(from int64) (manage.Tail, error) {
	t, err := n.a.node.Tail(from)
	return manage.Tail(t), err
}

func (n memberNode) Offset() int64 { return n.a.node.Offset() }
func (n memberNode) Loading() bool { return n.a.Engine.Is(engine.Loading) }

func (n memberNode) SaveTo(ctx context.Context, path string) error {
	return n.a.saver.SaveTo(ctx, path)
}

func (n memberNode) Save(ctx context.Context) error { return n.a.saver.MakeDurable(ctx) }

// Configure sets directives as CONFIG SET does: the hooks run with the engine's lock held.
func (n memberNode) Configure(set map[string]string) (err error) {
	var pairs []settings.Pair
	for name, value := range set {
		pairs = append(pairs, settings.Pair{Name: name, Value: value})
	}
	slices.SortFunc(pairs, func(a, b settings.Pair) int { return strings.Compare(a.Name, b.Name) })
	n.a.Engine.Exclusive(func() { err = n.a.Settings.Set(settings.SetContext{Protected: true}, pairs...) })
	return err
}

func (n memberNode) Status() manage.Status {
	st := n.a.node.Status()
	_, _, paused := n.a.Engine.Paused()
	return manage.Status{Paused: paused, LinkUp: st.LinkUp, Silent: st.Silent, Syncing: st.Syncing, DownFor: st.DownFor, Trip: st.Kept,
		Persists: n.a.saver.Persists(), Persisted: n.a.saver.Saved()}
}
