package transport

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/resp"
	"golang.org/x/sys/unix"
)

const (
	arenaSize  = 1 << 20 // requests of one batch
	batchItems = 4096    // commands of one batch
	// batchBytes is of how many bytes of requests, or about that many of replies, a batch is full: they are touched twice, and should
	// be in the processor's nearest caches still.
	batchBytes = 64 << 10
	maxEvents  = 1024
)

// loop is one event loop. All fields but the mailbox belong to its goroutine.
type loop struct {
	t      *Server
	epfd   int
	poll   parking
	parked atomic.Bool // waits by poll
	crowd  gathering
	conns  []*conn // by descriptor
	live   int
	lane   *engine.Lane

	events [maxEvents]unix.EpollEvent
	told   []unix.EpollEvent // what of them, or of the stand-in's, was not looked at yet
	arena  []byte
	used   int
	args   [][]byte
	items  []engine.Item
	// replyEach is what a reply of the latest batch took.
	replyEach int

	batch  []*conn // connections with something in items, in order
	later  []*conn // have something unread of which epoll does not tell again
	rest   []*conn // those of them whose turn it is, the next one last; empty between two turns
	paused []*conn // held back by CLIENT PAUSE
	astray []*conn // wait for the master
	kept   []*kept // see kept
	iov    []unix.Iovec
	lent   []chunk  // see replyUncopied
	free   [][]byte // buffers for incomplete requests and unsent replies
	spare  spares   // bigger ones
	buried [][]byte // mappings to be given back when the batch is done
	latest command.Latest

	keptFrom  atomic.Int64 // offset that the front of kept waits for, nobody when there is none
	releasing atomic.Bool  // a release is in the mail
	settlers  []func()     // to be called when nothing is kept
	hearers   []hearing    // see conn.Hear

	standIn  *standIn
	inside   bool // a command goes on for long: this goroutine has the engine's lock
	wakeFD   int
	moved    traffic
	stopping bool
	mail     mailbox
	nextCron time.Time
}

// mailbox holds what other goroutines want to be done on the loop.
type mailbox struct {
	mu    sync.Mutex
	fns   []func()
	spare []func()
	awake bool

	pushed, sparePushed []*conn // have messages to send
}

func newLoop(t *Server) (*loop, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	wakeFD, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(epfd)
		return nil, err
	}
	l := &loop{t: t, epfd: epfd, wakeFD: wakeFD, lane: t.e.NewLane(), arena: make([]byte, arenaSize)}
	l.lane.WhileBusy = l.whileBusy
	l.keptFrom.Store(nobody)
	l.poll.init(l)
	if err := l.add(wakeFD, unix.EPOLLIN); err != nil {
		l.closeFDs()
		return nil, err
	}
	return l, nil
}

func (l *loop) add(fd int, events uint32) error {
	return unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

func (l *loop) closeFDs() {
	l.poll.close()
	unix.Close(l.epfd)
	unix.Close(l.wakeFD)
}

// post runs fn on the loop's goroutine, soon, in the order of the calls.
func (l *loop) post(fn func()) {
	m := &l.mail
	m.mu.Lock()
	m.fns = append(m.fns, fn)
	l.wakeAndUnlock()
}

// wakeAndUnlock wakes the loop for new mail and gives the mailbox's lock up.
func (l *loop) wakeAndUnlock() {
	m := &l.mail
	wake := !m.awake
	m.awake = true
	m.mu.Unlock()
	if wake {
		one := [8]byte{1}
		_, _ = unix.Write(l.wakeFD, one[:]) // EAGAIN: the counter is full, so the loop wakes anyway
	}
}

func (l *loop) readMail() {
	var buf [8]byte
	rawRead(l.wakeFD, buf[:])
	m := &l.mail
	m.mu.Lock()
	fns := m.fns
	m.fns, m.spare = m.spare[:0], nil
	pushed := m.pushed
	m.pushed, m.sparePushed = m.sparePushed[:0], nil
	m.awake = false
	m.mu.Unlock()
	for i, fn := range fns {
		fn()
		fns[i] = nil
	}
	for i, c := range pushed {
		l.sendPushes(c)
		pushed[i] = nil
	}
	m.mu.Lock()
	m.spare, m.sparePushed = fns[:0], pushed[:0]
	m.mu.Unlock()
}

// run serves until stop.
func (l *loop) run() {
	defer l.t.wg.Done()
	running.Add(1)
	defer running.Add(-1)
	procs := int32(runtime.GOMAXPROCS(0))
	for !l.stopping {
		ms := nap(running.Load(), procs)
		left := len(l.later)
		goesOn := left > 0 || len(l.hearers) > 0
		if goesOn {
			ms = 0
		}
		n := rawEpollWait(l.epfd, l.events[:], ms)
		switch {
		case goesOn: // there is more to read, or somebody waits for the end of what there is
		case n == 0:
			n = l.sleep()
		case ms > 0 && l.crowd.gathers(n):
			rawSleep(gatherFor)
			n += rawEpollWait(l.epfd, l.events[n:], 0)
		}
		l.told = l.events[:n]
		l.heed()
		l.readRest()
		l.seekMaster()
		l.process()
		if len(l.hearers) > 0 {
			l.heard(n + left)
		}
		if len(l.kept) > 0 {
			l.watchCommit()
		}
		l.moved.publish()
		now := time.Now()
		l.crowd.turn(now)
		if now.After(l.nextCron) {
			l.nextCron = now.Add(cronPeriod)
			l.cron(now)
		}
	}
	l.shutdown()
}

const cronPeriod = time.Second

// running is the number of loops in this process.
var running atomic.Int32

// nap is for how many milliseconds a loop waits for events with the Go scheduler unaware of it. Telling the scheduler costs
// more than most waits take: its watcher wakes up, takes the loop's processor away, and the loop has to ask for it again.
// But meanwhile the processor is lost to other goroutines, so there must be one for them; and a loop with nothing to do for
// longer gives it up.
func nap(loops, procs int32) int {
	if loops < procs {
		return 1
	}
	return 0
}

func (l *loop) untilCron() time.Duration {
	d := time.Until(l.nextCron)
	if len(l.astray) > 0 {
		d = min(d, seekEach)
	}
	if len(l.kept) > 0 {
		d = min(d, l.untilKept())
	}
	return max(d, 0) + time.Millisecond
}

// heed does what there is to do for each event. If a command goes on for long in the middle of it the stand-in does the rest, of which
// epoll does not tell again. It tells again of mail, which waits, since it may want the lock that the command has.
func (l *loop) heed() {
	for len(l.told) > 0 {
		if l.full() {
			l.process()
			continue
		}
		ev := &l.told[0]
		l.told = l.told[1:]
		if !l.inside || int(ev.Fd) != l.wakeFD {
			l.event(ev)
		}
	}
}

func (l *loop) event(ev *unix.EpollEvent) {
	fd := int(ev.Fd)
	if fd == l.wakeFD {
		l.readMail()
		return
	}
	if ln := l.t.listener(l, fd); ln != nil {
		l.t.accept(ln)
		return
	}
	if fd >= len(l.conns) || l.conns[fd] == nil {
		return
	}
	c := l.conns[fd]
	if ev.Events&unix.EPOLLOUT != 0 {
		l.flush(c)
	}
	if ev.Events&^unix.EPOLLOUT == 0 || l.conns[fd] != c {
		return
	}
	if c.held() { // it is not read
		if ev.Events&farewell != 0 {
			l.close(c)
		}
		return
	}
	if ev.Events&(farewell|unix.EPOLLPRI) != 0 {
		c.toEnd = true
	}
	l.readable(c)
	l.leaves(c)
}

// readRest reads on where reads did not find the end of what there was. As in heed, a stand-in may do a part of it.
func (l *loop) readRest() {
	if len(l.rest) == 0 {
		l.rest, l.later = l.later, l.rest // who stops nowhere is read once in a turn
	}
	for n := len(l.rest); n > 0; n = len(l.rest) {
		if l.full() {
			l.process()
			continue
		}
		c := l.rest[n-1]
		l.rest[n-1] = nil
		l.rest = l.rest[:n-1]
		c.later = false
		if c.closed || !c.left() {
			continue
		}
		c.unread = false
		l.readable(c)
		l.leaves(c)
	}
}

// leaves remembers a connection of which something may be unread. If it is in the batch, the end of that does.
func (l *loop) leaves(c *conn) {
	if !c.inBatch && c.left() {
		l.interest(c)
	}
}

// parse adds the complete commands at the start of buf to the batch. buf stays as it is until the batch is processed.
func (l *loop) parse(c *conn, buf []byte) {
	c.sess.QueryBytes.Store(int64(len(buf)))
	if c.primary != nil && !c.primary.begun {
		if buf = l.begin(c, buf); buf == nil {
			return
		}
	}
	c.parser.Guest, c.parser.MaxBulk = c.sess.Has(engine.NeedAuth), l.t.sessions.MaxBulk()
	c.buf, c.done, c.first = buf, 0, len(l.items)
	c.broken = nil
	for c.done < len(buf) {
		from := len(l.args)
		args, n, err := c.parser.Next(buf[c.done:], l.args)
		if err != nil && c.first < len(l.items) {
			c.again = true // what goes before may be the AUTH, or the CONFIG SET, that lifts the limit
			c.parser.Reset()
			break
		}
		if err != nil {
			c.broken = err
			break
		}
		if n == 0 {
			break
		}
		l.args = args
		if len(args) > from {
			words := args[from:len(args):len(args)]
			it := l.nextItem()
			it.Client, it.Cmd, it.Args, it.Mark = &c.sess.Client, l.t.e.Table.ResolveLike(&l.latest, words), words, c.done
		}
		c.done += n
	}
	c.last = len(l.items)
	c.inBatch = true
	l.batch = append(l.batch, c)
}

// nextItem puts an empty item behind the others. It is filled in its place: a copy would wait for its fields to reach memory.
func (l *loop) nextItem() *engine.Item {
	n := len(l.items)
	if n == cap(l.items) {
		l.items = append(l.items, engine.Item{})
	} else {
		l.items = l.items[:n+1] // process leaves empty ones there
	}
	return &l.items[n]
}

// process executes the batch and sends the replies.
func (l *loop) process() {
	if len(l.batch) == 0 {
		l.used = 0 // what was used is of connections that were closed at once
		return
	}
	l.t.sessions.EvictIfCrowded() // what was read counts before anybody asks
	l.moved.publish()
	if len(l.items) > 0 {
		l.lane.Run(l.items)
		l.replyEach = l.lane.Out.Len() / len(l.items)
	}
	for i, c := range l.batch {
		if l.batch[i] = nil; c != nil { // nil: it was taken out
			l.finish(c)
		}
	}
	l.t.sessions.EvictIfCrowded()
	l.forget()
}

// forget ends a batch: its replies have left, or were copied.
func (l *loop) forget() {
	l.lane.Out.Reset()
	if cap(l.lane.Out.Bytes()) > 4*arenaSize {
		l.lane.Out.Swap(make([]byte, 0, arenaSize))
	}
	clear(l.items)
	clear(l.args)
	l.items, l.args, l.batch, l.used = l.items[:0], l.args[:0], l.batch[:0], 0
	if len(l.buried) > 0 {
		l.unmap()
	}
}

// finish sends what the batch answered to c and keeps what was not executed.
func (l *loop) finish(c *conn) {
	c.inBatch = false
	if c.closed {
		return
	}
	if items := l.items[c.first:c.last]; len(items) > 0 && !l.answer(c, items) {
		return
	}
	if c.broken != nil {
		l.protocolError(c)
	}
	l.keepRest(c)
	l.settle(c)
	if c.again && !c.closed {
		l.post(func() { l.resume(c) })
	}
	c.again = false
}

// answer sends the replies to c's part of the batch, unless the right to acknowledge what it wrote was lost meanwhile
// (S1): then the connection is closed without a byte, and answer is false.
func (l *loop) answer(c *conn, items []engine.Item) bool {
	ran, wrote := len(items), false
	for i := range items {
		wrote = wrote || items[i].Wrote
		switch items[i].Outcome {
		case engine.Waiting:
			c.waiting = true
		case engine.Postponed, engine.Elsewhere:
			ran = min(ran, i)
		}
	}
	if ran < len(items) {
		c.done, c.broken = items[ran].Mark, nil
		c.parser.Reset()
		if items[ran].Outcome == engine.Elsewhere {
			c.primary.astray = true
		} else {
			c.paused = !c.waiting && !c.ends()
		}
	}
	if due, on := l.lane.Due(); on && ran > 0 {
		return l.answerDue(c, items[:ran], due)
	}
	if c.kept != nil && ran > 0 { // nobody is required any more, and what was kept has not left yet
		return l.answerDue(c, items[:ran], c.kept.due)
	}
	if wrote {
		if !l.lane.MayLeave() {
			l.t.logf("Closing client id=%d: the right to acknowledge writes ended before the reply could leave", c.sess.Num)
			l.close(c)
			return false
		}
		c.ticket = l.lane.Ticket()
	}
	if list := c.takePushes(); len(list) > 0 {
		l.keepOthers(c, 0, true)
		l.interleave(c, items[:ran], list)
	} else if ran > 0 {
		l.reply(c, items[0].Start, items[ran-1].End)
	}
	return !c.closed
}

// interleave sends replies and messages in the order in which they came to be.
func (l *loop) interleave(c *conn, items []engine.Item, list []push) {
	replies := func(from, to int) {
		l.lane.Out.Segments(from, to, func(plain []byte, blob resp.Blob) { l.enqueue(c, plain, blob) })
	}
	from, to := 0, 0
	if len(items) > 0 {
		from, to = items[0].Start, items[0].Start
	}
	for i := range items {
		for len(list) > 0 && list[0].after <= items[i].Before {
			replies(from, to)
			from = to
			l.enqueuePush(c, list[0])
			list = list[1:]
		}
		to = items[i].End
	}
	replies(from, to)
	for _, p := range list {
		l.enqueuePush(c, p)
	}
	if l.withinHardLimit(c, 0) {
		l.flush(c)
	}
}

// keepRest copies the bytes that were not executed to the connection.
func (l *loop) keepRest(c *conn) {
	rest := c.buf[c.done:]
	own := len(c.query) > 0
	switch {
	case len(rest) == 0 && own:
		l.recycle(c.query)
		c.query = nil
	case len(rest) == 0:
	case own && mapped(c.query) && c.parser.Need() <= mappedFrom:
		big := c.query
		c.query = append(l.queryBuffer(len(rest), c.parser.Need()), rest...)
		l.bury(big)
	case own:
		n := copy(c.query, rest)
		c.query = c.query[:n]
	default:
		c.query = append(l.queryBuffer(len(rest), c.parser.Need()), rest...)
	}
	c.buf, c.done = nil, 0
	before, whole := c.parser.Held()
	c.sess.QueryBytes.Store(int64(len(c.query) - before))
	if c.sess.ArgvBytes.Load() != int64(whole) { // a store that others see is dear, and most commands are short
		c.sess.ArgvBytes.Store(int64(whole))
	}
	c.account()
}

// settle closes, detaches or suspends c as its commands asked for.
func (l *loop) settle(c *conn) {
	switch {
	case c.detach != nil && c.kept == nil:
		l.detach(c)
	case c.ends() && c.unsent() == 0:
		l.close(c)
	case c.ends():
		l.interest(c)
	case int64(len(c.query)-c.parser.Done()) > l.t.queryLimit():
		l.t.logf("Closing client that reached max query buffer length: id=%d addr=%s", c.sess.Num, c.RemoteAddr())
		l.close(c)
	default:
		if c.paused && !c.listed {
			c.listed = true
			l.paused = append(l.paused, c)
			l.t.e.HeldBack(1)
		}
		l.interest(c)
		if c.astray() {
			l.goAstray(c)
		}
	}
}

// unpaused lets the clients that CLIENT PAUSE held back go on; the new state may hold them back again.
func (l *loop) unpaused() {
	list := l.paused
	l.paused = nil
	l.t.e.HeldBack(-len(list))
	for _, c := range list {
		c.listed, c.paused = false, false
		l.resume(c)
	}
}

// resume executes what c had sent before it was held back.
func (l *loop) resume(c *conn) {
	if c.closed || c.held() || c.inBatch {
		return
	}
	l.interest(c)
	if len(c.query) > 0 {
		l.parse(c, c.query)
	}
}
