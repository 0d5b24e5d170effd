package session

import (
	"strings"

	"github.com/understudy-db/understudy/server/command"
	"github.com/understudy-db/understudy/server/engine"
	"github.com/understudy-db/understudy/server/resp"
	"github.com/understudy-db/understudy/server/tracking"
)

func (srv *Server) attachTracking() {
	t := srv.e.Table
	t.Attach("client|tracking", srv.clientTracking)
	t.Attach("client|caching", clientCaching)
	t.Attach("client|getredir", func(ctx *command.Ctx) { ctx.Out.Int(engine.Of(ctx).RedirectOf()) })
	t.Attach("client|trackinginfo", clientTrackingInfo)
	srv.e.OnFind(func(id int64) *engine.Client {
		if s := srv.byID(id); s != nil {
			return &s.Client
		}
		return nil
	})
}

func (srv *Server) clientTracking(ctx *command.Ctx) {
	c := engine.Of(ctx)
	o, prefixes, problem := srv.parseTracking(ctx.Args[3:])
	switch {
	case problem != "":
	case fold(ctx.Args[2], "off"):
		srv.e.Untrack(c)
		ctx.Out.OK()
		return
	case !fold(ctx.Args[2], "on"):
		problem = errSyntax
	default:
		problem = contradicts(c.Tracking(), o, prefixes)
	}
	if problem != "" {
		ctx.Out.Error(problem)
		return
	}
	for _, p := range prefixes {
		o.Prefixes = append(o.Prefixes, string(p))
	}
	if o.Broadcast && len(prefixes) == 0 {
		o.Prefixes = []string{""}
	}
	srv.e.Track(c, o)
	ctx.Out.OK()
}

// parseTracking reads the options behind ON or OFF.
func (srv *Server) parseTracking(args [][]byte) (o engine.Tracking, prefixes [][]byte, problem string) {
	for i := 0; i < len(args); i++ {
		more := i+1 < len(args)
		switch word := strings.ToLower(string(args[i])); {
		case word == "redirect" && more:
			i++
			if o.Redirect != 0 {
				return o, nil, "A client can only redirect to a single other client"
			}
			id, ok := resp.ParseInt(args[i])
			if !ok {
				return o, nil, errInteger
			}
			if srv.byID(id) == nil {
				return o, nil, "The client ID you want redirect to does not exist"
			}
			o.Redirect = id
		case word == "prefix" && more:
			i++
			prefixes = append(prefixes, args[i])
		case word == "bcast":
			o.Broadcast = true
		case word == "optin":
			o.OptIn = true
		case word == "optout":
			o.OptOut = true
		case word == "noloop":
			o.NoLoop = true
		default:
			return o, nil, errSyntax
		}
	}
	return o, prefixes, ""
}

// contradicts answers why a client that tracks as old, nil for not at all, cannot track as o, or "".
func contradicts(old *engine.Tracking, o engine.Tracking, prefixes [][]byte) string {
	switch {
	case !o.Broadcast && len(prefixes) > 0:
		return "PREFIX option requires BCAST mode to be enabled"
	case old != nil && old.Broadcast != o.Broadcast:
		return "You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode."
	case o.Broadcast && (o.OptIn || o.OptOut):
		return "OPTIN and OPTOUT are not compatible with BCAST"
	case o.OptIn && o.OptOut:
		return "You can't specify both OPTIN mode and OPTOUT mode"
	case old != nil && (o.OptIn && old.OptOut || o.OptOut && old.OptIn):
		return "You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode."
	}
	for i, p := range prefixes {
		if old != nil {
			for _, q := range old.Prefixes {
				if tracking.Overlap(p, []byte(q)) {
					return overlaps(p, "an existing", q)
				}
			}
		}
		for _, q := range prefixes[i+1:] {
			if tracking.Overlap(p, q) {
				return overlaps(p, "another provided", string(q))
			}
		}
	}
	return ""
}

func overlaps(p []byte, which, q string) string {
	return "Prefix '" + string(p) + "' overlaps with " + which + " prefix '" + q + "'. Prefixes for a single client must not overlap."
}

const errNotTracking = "CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"

func clientCaching(ctx *command.Ctx) {
	t := engine.Of(ctx).Tracking()
	yes, no := fold(ctx.Args[2], "yes"), fold(ctx.Args[2], "no")
	switch {
	case t == nil:
		ctx.Out.Error(errNotTracking)
	case yes && !t.OptIn:
		ctx.Out.Error("CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
	case no && !t.OptOut:
		ctx.Out.Error("CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
	case !yes && !no:
		ctx.Out.Error(errSyntax)
	default:
		t.Caching = true
		ctx.Out.OK()
	}
}

func clientTrackingInfo(ctx *command.Ctx) {
	c, w := engine.Of(ctx), ctx.Out
	flags, prefixes := []string{"off"}, []string(nil)
	if t := c.Tracking(); t != nil {
		flags, prefixes = trackingFlags(t), t.Prefixes
	}
	w.Map(3)
	w.BulkString("flags")
	w.Set(len(flags))
	for _, f := range flags {
		w.BulkString(f)
	}
	w.BulkString("redirect")
	w.Int(c.RedirectOf())
	w.BulkString("prefixes")
	w.Array(len(prefixes))
	for _, p := range prefixes {
		w.BulkString(p)
	}
}

func trackingFlags(t *engine.Tracking) []string {
	flags := []string{"on"}
	for _, f := range []struct {
		on   bool
		name string
	}{
		{t.Broadcast, "bcast"}, {t.OptIn, "optin"}, {t.OptIn && t.Caching, "caching-yes"}, {t.OptOut, "optout"},
		{t.OptOut && t.Caching, "caching-no"}, {t.NoLoop, "noloop"}, {t.Broken, "broken_redirect"},
	} {
		if f.on {
			flags = append(flags, f.name)
		}
	}
	return flags
}
