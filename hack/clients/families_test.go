package clients

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// told collects what the client made of the replies, as text.
type told struct{ lines []string }

func (o *told) add(what string, values ...any) {
	o.lines = append(o.lines, what+": "+fmt.Sprintf("%+v", values))
}

// family calls the commands of one family.
type family struct {
	name string
	call func(ctx context.Context, c *redis.Client, o *told)
}

// TestFamilies makes the same calls on both servers in both versions of the protocol.
func TestFamilies(t *testing.T) {
	servers := map[string]string{"ours": start(t, ours), "redis-server": start(t, "redis-server")}
	for _, proto := range []int{2, 3} {
		for _, f := range families {
			t.Run(fmt.Sprintf("RESP%d/%s", proto, f.name), func(t *testing.T) {
				results := map[string][]string{}
				for name, addr := range servers {
					results[name] = drive(t, addr, proto, f)
				}
				compare(t, results["redis-server"], results["ours"])
			})
		}
	}
}

func drive(t *testing.T, addr string, proto int, f family) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	c := redis.NewClient(patient(redis.Options{Addr: addr, Protocol: proto}))
	defer c.Close()
	if err := c.FlushAll(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	var o told
	f.call(ctx, c, &o)
	return o.lines
}

func compare(t *testing.T, want, got []string) {
	t.Helper()
	if len(want) == 0 {
		t.Fatal("the family tells nothing")
	}
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(want):
			t.Fatalf("ours tells more: %s", got[i])
		case i >= len(got):
			t.Fatalf("ours lacks: %s", want[i])
		case want[i] != got[i]:
			t.Errorf("redis-server: %s\nours:         %s", want[i], got[i])
		}
	}
}

// result is a command's value and error in one line.
func result[T any](v T, err error) string { return fmt.Sprintf("%+v, %v", v, err) }

func sorted(list []string, err error) string {
	slices.Sort(list)
	return result(list, err)
}

var families = []family{
	{"strings", stringsFamily}, {"bits", bits}, {"hashes", hashes}, {"lists", lists}, {"blocking", blocking}, {"sets", sets},
	{"sorted sets", sortedSets}, {"streams", streams}, {"stream groups", groups}, {"geo", geo}, {"hyperloglog", hyperloglog},
	{"keys", keys}, {"scan", scan}, {"sort", sorting}, {"transactions", transactions}, {"pipelines", pipelines}, {"scripts", scripts},
	{"functions", functions}, {"publish", publish}, {"server", server}, {"dump", dump}, {"users", users}, {"connections", connections},
}

func stringsFamily(ctx context.Context, c *redis.Client, o *told) {
	o.add("set", result(c.Set(ctx, "a", "1", time.Hour).Result()))
	o.add("setnx", result(c.SetNX(ctx, "a", "2", 0).Result()), result(c.SetXX(ctx, "a", "3", redis.KeepTTL).Result()))
	o.add("set args", result(c.SetArgs(ctx, "a", "4", redis.SetArgs{Get: true, KeepTTL: true}).Result()))
	o.add("get", result(c.Get(ctx, "a").Result()), result(c.Get(ctx, "none").Result()))
	o.add("getex", result(c.GetEx(ctx, "a", 2*time.Hour).Result()), result(c.GetSet(ctx, "a", "5").Result()), result(c.GetDel(ctx, "a").Result()))
	o.add("incr", result(c.Incr(ctx, "n").Result()), result(c.IncrBy(ctx, "n", 10).Result()), result(c.IncrByFloat(ctx, "n", 0.5).Result()), result(c.Decr(ctx, "n").Result()))
	o.add("mset", result(c.MSet(ctx, "x", "1", "y", "2").Result()), result(c.MSetNX(ctx, "x", "1", "z", "2").Result()), result(c.MGet(ctx, "x", "none", "y").Result()))
	o.add("range", result(c.Append(ctx, "s", "hello").Result()), result(c.SetRange(ctx, "s", 1, "ipp").Result()), result(c.GetRange(ctx, "s", 0, 2).Result()), result(c.StrLen(ctx, "s").Result()))
	o.add("lcs", result(c.LCS(ctx, &redis.LCSQuery{Key1: "s", Key2: "x", Len: true}).Result()))
	o.add("lcs idx", result(c.LCS(ctx, &redis.LCSQuery{Key1: "s", Key2: "s", Idx: true, WithMatchLen: true}).Result()))
}

func bits(ctx context.Context, c *redis.Client, o *told) {
	o.add("setbit", result(c.SetBit(ctx, "b", 7, 1).Result()), result(c.GetBit(ctx, "b", 7).Result()), result(c.BitCount(ctx, "b", nil).Result()))
	o.add("bitpos", result(c.BitPos(ctx, "b", 1).Result()), result(c.BitPosSpan(ctx, "b", 1, 0, 7, "bit").Result()))
	o.add("bitop", result(c.BitOpNot(ctx, "n", "b").Result()), result(c.BitOpAnd(ctx, "m", "b", "n").Result()), result(c.BitOpXor(ctx, "m", "b", "n").Result()))
	o.add("bitfield", result(c.BitField(ctx, "f", "INCRBY", "i5", "100", "1", "GET", "u4", "0").Result()), result(c.BitFieldRO(ctx, "f", "u4", "0").Result()))
}

func hashes(ctx context.Context, c *redis.Client, o *told) {
	o.add("hset", result(c.HSet(ctx, "h", map[string]any{"a": 1, "b": "two", "c": 3.5}).Result()), result(c.HSetNX(ctx, "h", "a", "9").Result()))
	o.add("hget", result(c.HGet(ctx, "h", "b").Result()), result(c.HMGet(ctx, "h", "a", "none").Result()), result(c.HExists(ctx, "h", "c").Result()), result(c.HLen(ctx, "h").Result()))
	all := c.HGetAll(ctx, "h").Val()
	o.add("hgetall", slices.Sorted(maps.Keys(all)), all)
	o.add("hkeys", sorted(c.HKeys(ctx, "h").Result()), sorted(c.HVals(ctx, "h").Result()))
	o.add("hincr", result(c.HIncrBy(ctx, "h", "a", 5).Result()), result(c.HIncrByFloat(ctx, "h", "c", 0.25).Result()), result(c.HDel(ctx, "h", "b", "none").Result()))
	o.add("hrand", len(c.HRandField(ctx, "h", -5).Val()), len(c.HRandFieldWithValues(ctx, "h", 2).Val()))
	var typed struct {
		A int     `redis:"a"`
		C float64 `redis:"c"`
	}
	o.add("scan into a struct", c.HGetAll(ctx, "h").Scan(&typed), typed)
	o.add("wrong type", result(c.LPush(ctx, "h", 1).Result()))
}

func lists(ctx context.Context, c *redis.Client, o *told) {
	o.add("push", result(c.RPush(ctx, "l", "a", "b", "c", "b").Result()), result(c.LPush(ctx, "l", "z").Result()), result(c.LPushX(ctx, "none", "z").Result()))
	o.add("range", result(c.LRange(ctx, "l", 0, -1).Result()), result(c.LIndex(ctx, "l", -1).Result()), result(c.LLen(ctx, "l").Result()))
	o.add("pos", result(c.LPos(ctx, "l", "b", redis.LPosArgs{Rank: -1}).Result()), result(c.LPosCount(ctx, "l", "b", 0, redis.LPosArgs{}).Result()))
	o.add("change", result(c.LSet(ctx, "l", 0, "y").Result()), result(c.LInsertBefore(ctx, "l", "a", "x").Result()), result(c.LRem(ctx, "l", 1, "b").Result()), result(c.LTrim(ctx, "l", 0, 2).Result()))
	o.add("move", result(c.LMove(ctx, "l", "m", "LEFT", "RIGHT").Result()), result(c.RPopLPush(ctx, "l", "m").Result()), result(c.LPopCount(ctx, "m", 5).Result()), result(c.RPop(ctx, "l").Result()), result(c.RPop(ctx, "l").Result()))
	c.RPush(ctx, "k", 1, 2, 3)
	key, values, err := c.LMPop(ctx, "RIGHT", 2, "none", "k").Result()
	o.add("lmpop", key, values, err)
}

func blocking(ctx context.Context, c *redis.Client, o *told) {
	o.add("time out", result(c.BLPop(ctx, time.Second, "q").Result()))
	for _, call := range []func() string{
		func() string { return result(c.BLPop(ctx, 10*time.Second, "none", "q").Result()) },
		func() string { return result(c.BRPop(ctx, 10*time.Second, "q").Result()) },
		func() string { return result(c.BLMove(ctx, "q", "r", "LEFT", "LEFT", 10*time.Second).Result()) },
		func() string { return result(c.BRPopLPush(ctx, "q", "r", 10*time.Second).Result()) },
		func() string {
			key, values, err := c.BLMPop(ctx, 10*time.Second, "LEFT", 1, "q").Result()
			return fmt.Sprint(key, values, err)
		},
	} {
		done := make(chan string)
		go func() { done <- call() }()
		awaitBlocked(ctx, c)
		o.add("push", result(c.RPush(ctx, "q", "v").Result()))
		o.add("popped", <-done)
	}
	done := make(chan string)
	go func() { done <- result(c.BZPopMin(ctx, 10*time.Second, "z").Result()) }()
	awaitBlocked(ctx, c)
	o.add("zadd", result(c.ZAdd(ctx, "z", redis.Z{Score: 1.5, Member: "m"}).Result()))
	o.add("popped", <-done)
}

// awaitBlocked waits until a client waits for a key.
func awaitBlocked(ctx context.Context, c *redis.Client) {
	for ctx.Err() == nil && !strings.Contains(c.Info(ctx, "clients").Val(), "blocked_clients:1") {
		time.Sleep(5 * time.Millisecond)
	}
}

func sets(ctx context.Context, c *redis.Client, o *told) {
	o.add("sadd", result(c.SAdd(ctx, "s", 1, 2, 3, "x").Result()), result(c.SAdd(ctx, "t", 2, 3, 4).Result()), result(c.SCard(ctx, "s").Result()))
	o.add("members", sorted(c.SMembers(ctx, "s").Result()), result(c.SIsMember(ctx, "s", "x").Result()), result(c.SMIsMember(ctx, "s", 1, 9).Result()), len(c.SMembersMap(ctx, "s").Val()))
	o.add("algebra", sorted(c.SInter(ctx, "s", "t").Result()), sorted(c.SUnion(ctx, "s", "t").Result()), sorted(c.SDiff(ctx, "s", "t").Result()), result(c.SInterCard(ctx, 1, "s", "t").Result()))
	o.add("store", result(c.SInterStore(ctx, "u", "s", "t").Result()), result(c.SUnionStore(ctx, "u", "s", "t").Result()), result(c.SDiffStore(ctx, "u", "s", "t").Result()))
	o.add("move", result(c.SMove(ctx, "s", "t", "x").Result()), result(c.SRem(ctx, "t", "x", "y").Result()), len(c.SRandMemberN(ctx, "s", -7).Val()), len(c.SPopN(ctx, "s", 2).Val()), result(c.SCard(ctx, "s").Result()))
}

func sortedSets(ctx context.Context, c *redis.Client, o *told) {
	o.add("zadd", result(c.ZAdd(ctx, "z", redis.Z{Score: 1, Member: "a"}, redis.Z{Score: 2.5, Member: "b"}, redis.Z{Score: 3, Member: "c"}).Result()))
	o.add("zadd args", result(c.ZAddArgs(ctx, "z", redis.ZAddArgs{GT: true, Ch: true, Members: []redis.Z{{Score: 0, Member: "a"}, {Score: 5, Member: "b"}}}).Result()), result(c.ZAddArgsIncr(ctx, "z", redis.ZAddArgs{Members: []redis.Z{{Score: 2, Member: "a"}}}).Result()))
	o.add("score", result(c.ZScore(ctx, "z", "b").Result()), result(c.ZMScore(ctx, "z", "a", "none").Result()), result(c.ZIncrBy(ctx, "z", -1.25, "c").Result()), result(c.ZCard(ctx, "z").Result()), result(c.ZRank(ctx, "z", "b").Result()), result(c.ZRevRank(ctx, "z", "none").Result()))
	o.add("range", result(c.ZRange(ctx, "z", 0, -1).Result()), result(c.ZRangeWithScores(ctx, "z", 0, -1).Result()), result(c.ZRevRangeWithScores(ctx, "z", 0, 1).Result()))
	by := &redis.ZRangeBy{Min: "(1", Max: "+inf", Count: 2}
	o.add("by score", result(c.ZRangeByScoreWithScores(ctx, "z", by).Result()), result(c.ZRevRangeByScore(ctx, "z", by).Result()), result(c.ZCount(ctx, "z", "1", "3").Result()))
	o.add("range args", result(c.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{Key: "z", Start: 0, Stop: 10, ByScore: true, Rev: true}).Result()), result(c.ZRangeStore(ctx, "r", redis.ZRangeArgs{Key: "z", Start: 0, Stop: 1}).Result()))
	c.ZAdd(ctx, "y", redis.Z{Score: 10, Member: "a"}, redis.Z{Score: 20, Member: "d"})
	store := &redis.ZStore{Keys: []string{"z", "y"}, Weights: []float64{2, 1}, Aggregate: "MAX"}
	o.add("algebra", result(c.ZUnionWithScores(ctx, *store).Result()), result(c.ZInterWithScores(ctx, store).Result()), result(c.ZDiffWithScores(ctx, "z", "y").Result()), result(c.ZInterCard(ctx, 0, "z", "y").Result()))
	o.add("store", result(c.ZUnionStore(ctx, "u", store).Result()), result(c.ZInterStore(ctx, "u", store).Result()), result(c.ZDiffStore(ctx, "u", "z", "y").Result()))
	c.ZAdd(ctx, "lex", redis.Z{Member: "a"}, redis.Z{Member: "b"}, redis.Z{Member: "c"})
	o.add("by lex", result(c.ZRangeByLex(ctx, "lex", &redis.ZRangeBy{Min: "[a", Max: "(c"}).Result()), result(c.ZLexCount(ctx, "lex", "-", "+").Result()), result(c.ZRemRangeByLex(ctx, "lex", "-", "[a").Result()))
	key, popped, err := c.ZMPop(ctx, "max", 2, "z", "y").Result()
	o.add("pop", result(c.ZPopMin(ctx, "z").Result()), key, popped, err, result(c.ZPopMax(ctx, "y", 5).Result()), len(c.ZRandMemberWithScores(ctx, "u", -3).Val()))
	o.add("remove", result(c.ZRem(ctx, "u", "a", "b").Result()), result(c.ZRemRangeByRank(ctx, "u", 0, 0).Result()), result(c.ZRemRangeByScore(ctx, "u", "-inf", "inf").Result()))
}

func streams(ctx context.Context, c *redis.Client, o *told) {
	for i := range 5 {
		o.add("xadd", result(c.XAdd(ctx, &redis.XAddArgs{Stream: "s", ID: fmt.Sprintf("%d-1", i+1), Values: []any{"n", i, "k", "v"}}).Result()))
	}
	o.add("too small an id", result(c.XAdd(ctx, &redis.XAddArgs{Stream: "s", ID: "1-1", Values: []any{"n", 1}}).Result()))
	o.add("range", result(c.XRange(ctx, "s", "-", "+").Result()), result(c.XRevRangeN(ctx, "s", "+", "2", 2).Result()), result(c.XLen(ctx, "s").Result()))
	o.add("read", result(c.XRead(ctx, &redis.XReadArgs{Streams: []string{"s", "3"}, Count: 1, Block: -1}).Result()), result(c.XRead(ctx, &redis.XReadArgs{Streams: []string{"s", "$"}, Block: 20 * time.Millisecond}).Result()))
	o.add("trim", result(c.XTrimMaxLen(ctx, "s", 4).Result()), result(c.XTrimMinID(ctx, "s", "3").Result()), result(c.XDel(ctx, "s", "4-1").Result()))
	o.add("info", result(c.XInfoStream(ctx, "s").Result()))
}

func groups(ctx context.Context, c *redis.Client, o *told) {
	o.add("create", result(c.XGroupCreateMkStream(ctx, "s", "g", "0").Result()), result(c.XGroupCreate(ctx, "s", "g", "0").Result()), result(c.XGroupCreateConsumer(ctx, "s", "g", "idle").Result()))
	for i := range 4 {
		c.XAdd(ctx, &redis.XAddArgs{Stream: "s", ID: fmt.Sprint(i + 1), Values: []any{"n", i}})
	}
	o.add("read", result(c.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "g", Consumer: "alice", Streams: []string{"s", ">"}, Count: 3, Block: -1}).Result()))
	o.add("ack", result(c.XAck(ctx, "s", "g", "1-0", "9-0").Result()))
	o.add("pending", result(c.XPending(ctx, "s", "g").Result()))
	for _, p := range c.XPendingExt(ctx, &redis.XPendingExtArgs{Stream: "s", Group: "g", Start: "-", End: "+", Count: 10}).Val() {
		o.add("pending entry", p.ID, p.Consumer, p.RetryCount)
	}
	o.add("claim", result(c.XClaim(ctx, &redis.XClaimArgs{Stream: "s", Group: "g", Consumer: "bob", Messages: []string{"2-0"}}).Result()), result(c.XClaimJustID(ctx, &redis.XClaimArgs{Stream: "s", Group: "g", Consumer: "bob", Messages: []string{"3-0"}}).Result()))
	messages, next, err := c.XAutoClaim(ctx, &redis.XAutoClaimArgs{Stream: "s", Group: "g", Consumer: "carol", Start: "0", Count: 1}).Result()
	o.add("autoclaim", messages, next, err)
	o.add("info", result(c.XInfoGroups(ctx, "s").Result()))
	for _, consumer := range c.XInfoConsumers(ctx, "s", "g").Val() {
		o.add("consumer", consumer.Name, consumer.Pending)
	}
	o.add("end", result(c.XGroupSetID(ctx, "s", "g", "1").Result()), result(c.XGroupDelConsumer(ctx, "s", "g", "bob").Result()), result(c.XGroupDestroy(ctx, "s", "g").Result()))
}

func geo(ctx context.Context, c *redis.Client, o *told) {
	o.add("geoadd", result(c.GeoAdd(ctx, "g", &redis.GeoLocation{Name: "Palermo", Longitude: 13.361389, Latitude: 38.115556}, &redis.GeoLocation{Name: "Catania", Longitude: 15.087269, Latitude: 37.502669}).Result()))
	o.add("dist", result(c.GeoDist(ctx, "g", "Palermo", "Catania", "km").Result()), result(c.GeoHash(ctx, "g", "Palermo", "none").Result()))
	for _, p := range c.GeoPos(ctx, "g", "Palermo", "none").Val() {
		o.add("pos", p == nil, p != nil && p.Longitude > 13 && p.Latitude > 38)
	}
	o.add("search", result(c.GeoSearch(ctx, "g", &redis.GeoSearchQuery{Longitude: 15, Latitude: 37, Radius: 200, RadiusUnit: "km", Sort: "ASC"}).Result()))
	o.add("search location", result(c.GeoSearchLocation(ctx, "g", &redis.GeoSearchLocationQuery{GeoSearchQuery: redis.GeoSearchQuery{Member: "Palermo", BoxWidth: 400, BoxHeight: 400, BoxUnit: "km", Sort: "DESC"}, WithDist: true, WithHash: true, WithCoord: true}).Result()))
	o.add("store", result(c.GeoSearchStore(ctx, "g", "h", &redis.GeoSearchStoreQuery{GeoSearchQuery: redis.GeoSearchQuery{Longitude: 15, Latitude: 37, Radius: 200, RadiusUnit: "km"}, StoreDist: true}).Result()), result(c.GeoRadius(ctx, "g", 15, 37, &redis.GeoRadiusQuery{Radius: 100, Unit: "km", WithDist: true}).Result()))
}

func hyperloglog(ctx context.Context, c *redis.Client, o *told) {
	for i := range 1000 {
		c.PFAdd(ctx, "p", i)
	}
	o.add("count", result(c.PFCount(ctx, "p").Result()), result(c.PFAdd(ctx, "q", "x").Result()), result(c.PFMerge(ctx, "r", "p", "q").Result()), result(c.PFCount(ctx, "p", "q").Result()))
}

func keys(ctx context.Context, c *redis.Client, o *told) {
	c.MSet(ctx, "a", 1, "b", 2, "c", 3)
	o.add("exists", result(c.Exists(ctx, "a", "b", "none", "a").Result()), result(c.Type(ctx, "a").Result()), result(c.Touch(ctx, "a", "none").Result()), sorted(c.Keys(ctx, "[ab]").Result()))
	o.add("expire", result(c.Expire(ctx, "a", time.Hour).Result()), result(c.ExpireNX(ctx, "a", time.Hour).Result()), result(c.ExpireGT(ctx, "a", 2*time.Hour).Result()), c.TTL(ctx, "a").Val().Round(time.Hour), result(c.TTL(ctx, "b").Result()), result(c.PTTL(ctx, "none").Result()))
	at := time.Unix(4_000_000_000, 0)
	o.add("expire at", result(c.ExpireAt(ctx, "b", at).Result()), result(c.ExpireTime(ctx, "b").Result()), result(c.PExpireTime(ctx, "b").Result()), result(c.Persist(ctx, "b").Result()))
	o.add("rename", result(c.Rename(ctx, "a", "d").Result()), result(c.RenameNX(ctx, "d", "b").Result()), result(c.Rename(ctx, "none", "x").Result()), result(c.Copy(ctx, "b", "e", 1, true).Result()), result(c.Move(ctx, "c", 2).Result()))
	o.add("object", result(c.ObjectEncoding(ctx, "b").Result()), result(c.ObjectRefCount(ctx, "d").Result()))
	o.add("delete", result(c.Del(ctx, "b", "none").Result()), result(c.Unlink(ctx, "d").Result()), result(c.DBSize(ctx).Result()), result(c.RandomKey(ctx).Result()))
}

func scan(ctx context.Context, c *redis.Client, o *told) {
	for i := range 500 {
		c.Set(ctx, fmt.Sprint("key:", i), i, 0)
		c.HSet(ctx, "hash", fmt.Sprint("f", i), i)
		c.SAdd(ctx, "set", fmt.Sprint("m", i))
		c.ZAdd(ctx, "zset", redis.Z{Score: float64(i), Member: i})
	}
	for name, it := range map[string]*redis.ScanIterator{"scan": c.Scan(ctx, 0, "key:*", 10).Iterator(), "type": c.ScanType(ctx, 0, "", 100, "hash").Iterator(),
		"hscan": c.HScan(ctx, "hash", 0, "f1*", 10).Iterator(), "sscan": c.SScan(ctx, "set", 0, "", 10).Iterator(), "zscan": c.ZScan(ctx, "zset", 0, "", 10).Iterator()} {
		seen := map[string]bool{}
		for it.Next(ctx) {
			seen[it.Val()] = true
		}
		o.add(name, len(seen), it.Err())
	}
	slices.Sort(o.lines)
}

func sorting(ctx context.Context, c *redis.Client, o *told) {
	c.RPush(ctx, "l", 3, 1, 2)
	c.MSet(ctx, "w_1", 30, "w_2", 20, "w_3", 10, "v_1", "one", "v_2", "two", "v_3", "three")
	o.add("sort", result(c.Sort(ctx, "l", &redis.Sort{Order: "DESC"}).Result()), result(c.SortRO(ctx, "l", &redis.Sort{By: "w_*", Get: []string{"v_*", "#"}}).Result()), result(c.SortStore(ctx, "l", "m", &redis.Sort{Alpha: true, Offset: 1, Count: 5}).Result()))
}

func transactions(ctx context.Context, c *redis.Client, o *told) {
	cmds, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "a", 1, 0)
		p.Incr(ctx, "a")
		p.LPush(ctx, "a", "wrong type")
		p.HSet(ctx, "h", "f", "v")
		p.HGetAll(ctx, "h")
		return nil
	})
	for _, cmd := range cmds {
		o.add("in multi", cmd)
	}
	o.add("exec", err)
	err = c.Watch(ctx, func(tx *redis.Tx) error {
		c.Set(ctx, "a", "changed by another", 0)
		_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error { p.Set(ctx, "a", "mine", 0); return nil })
		return err
	}, "a")
	o.add("watch", errors.Is(err, redis.TxFailedErr), result(c.Get(ctx, "a").Result()))
}

func pipelines(ctx context.Context, c *redis.Client, o *told) {
	p := c.Pipeline()
	for i := range 1000 {
		p.Set(ctx, fmt.Sprint("k", i), strings.Repeat("x", i*7%3000), 0)
		p.Get(ctx, fmt.Sprint("k", i))
	}
	cmds, err := p.Exec(ctx)
	o.add("pipeline", len(cmds), err)
	for _, cmd := range cmds {
		o.add("reply", cmd)
	}
}

func scripts(ctx context.Context, c *redis.Client, o *told) {
	s := redis.NewScript("redis.call('SET', KEYS[1], ARGV[1]) return {redis.call('GET', KEYS[1]), 1, {2, 3}, false, 4.7}")
	o.add("run", result(s.Run(ctx, c, []string{"k"}, "v").Result()), result(s.Exists(ctx, c).Result()), result(s.EvalSha(ctx, c, []string{"k"}, "w").Result()))
	o.add("error", result(c.Eval(ctx, "return redis.error_reply('MY own')", nil).Result()), result(c.Eval(ctx, "return redis.call('LPUSH', KEYS[1], 1)", []string{"k"}).Result()))
	o.add("read only", result(c.EvalRO(ctx, "return redis.call('GET', KEYS[1])", []string{"k"}).Result()), result(c.ScriptFlush(ctx).Result()), result(c.EvalSha(ctx, s.Hash(), []string{"k"}).Result()))
}

func functions(ctx context.Context, c *redis.Client, o *told) {
	code := "#!lua name=lib\nredis.register_function('put', function(keys, args) return redis.call('SET', keys[1], args[1]) end)\nredis.register_function{function_name='read', callback=function(keys) return redis.call('GET', keys[1]) end, flags={'no-writes'}}"
	o.add("load", result(c.FunctionLoadReplace(ctx, code).Result()), result(c.FCall(ctx, "put", []string{"k"}, "v").Result()), result(c.FCallRO(ctx, "read", []string{"k"}).Result()), result(c.FCallRO(ctx, "put", []string{"k"}, "v").Result()))
	list := c.FunctionList(ctx, redis.FunctionListQuery{WithCode: true}).Val()
	for _, l := range list {
		slices.SortFunc(l.Functions, func(a, b redis.Function) int { return strings.Compare(a.Name, b.Name) })
	}
	o.add("list", list)
	dump := c.FunctionDump(ctx).Val()
	o.add("restore", result(c.FunctionFlush(ctx).Result()), result(c.FunctionRestore(ctx, dump).Result()), result(c.FCall(ctx, "read", []string{"k"}).Result()), result(c.FunctionDelete(ctx, "lib").Result()))
}

func publish(ctx context.Context, c *redis.Client, o *told) {
	s := c.Subscribe(ctx, "news")
	defer s.Close()
	first, err := s.Receive(ctx)
	o.add("subscribe", first, err)
	patterns := c.PSubscribe(ctx, "n*")
	defer patterns.Close()
	second, err := patterns.Receive(ctx)
	o.add("psubscribe", second, err)
	o.add("publish", result(c.Publish(ctx, "news", "hello").Result()))
	for _, subscription := range []*redis.PubSub{s, patterns} {
		m, err := subscription.ReceiveMessage(ctx)
		o.add("message", m, err)
	}
	o.add("pubsub", result(c.PubSubChannels(ctx, "*").Result()), result(c.PubSubNumSub(ctx, "news", "none").Result()), result(c.PubSubNumPat(ctx).Result()))
	shard := c.SSubscribe(ctx, "shard")
	defer shard.Close()
	third, err := shard.Receive(ctx)
	o.add("ssubscribe", third, err, result(c.SPublish(ctx, "shard", "x").Result()))
	m, err := shard.ReceiveMessage(ctx)
	o.add("shard message", m, err)
}

func server(ctx context.Context, c *redis.Client, o *told) {
	o.add("ping", result(c.Ping(ctx).Result()), result(c.Echo(ctx, "e").Result()), c.Time(ctx).Err())
	o.add("config", result(c.ConfigSet(ctx, "hash-max-listpack-entries", "64").Result()), result(c.ConfigGet(ctx, "hash-max-l*entries").Result()), result(c.ConfigSet(ctx, "hash-max-listpack-entries", "128").Result()), result(c.ConfigSet(ctx, "no-such", "1").Result()))
	o.add("client", result(c.ClientGetName(ctx).Result()), c.ClientID(ctx).Val() > 0, c.ClientInfo(ctx).Err(), c.ClientList(ctx).Err())
	o.add("command", len(c.Command(ctx).Val()) > 200, result(c.CommandGetKeys(ctx, "MSET", "a", 1, "b", 2).Result()))
	o.add("memory", c.MemoryUsage(ctx, "none").Err(), strings.Contains(c.Info(ctx).Val(), "redis_version"))
	o.add("slowlog", c.SlowLogGet(ctx, 1).Err(), result(c.Wait(ctx, 0, time.Millisecond).Result()))
}

func dump(ctx context.Context, c *redis.Client, o *told) {
	c.HSet(ctx, "h", "f", "v")
	payload := c.Dump(ctx, "h").Val()
	o.add("restore", len(payload) > 10, result(c.Restore(ctx, "h", 0, payload).Result()), result(c.RestoreReplace(ctx, "h", time.Hour, payload).Result()), result(c.Restore(ctx, "bad", 0, "x"+payload).Result()))
	o.add("value", result(c.HGetAll(ctx, "h").Result()), c.TTL(ctx, "h").Val().Round(time.Hour), result(c.Dump(ctx, "none").Result()))
}

func users(ctx context.Context, c *redis.Client, o *told) {
	o.add("setuser", result(c.Do(ctx, "ACL", "SETUSER", "reader", "reset", "on", ">secret", "~r:*", "+@read", "-keys").Result()), result(c.Do(ctx, "ACL", "SETUSER", "reader", "+nosuch").Result()))
	o.add("dry run", result(c.ACLDryRun(ctx, "reader", "get", "r:1").Result()), result(c.ACLDryRun(ctx, "reader", "get", "x").Result()), result(c.ACLDryRun(ctx, "reader", "set", "r:1", "v").Result()))
	reader := redis.NewClient(patient(redis.Options{Addr: c.Options().Addr, Protocol: c.Options().Protocol, Username: "reader", Password: "secret", DisableIndentity: true}))
	defer reader.Close()
	o.add("as reader", result(reader.Do(ctx, "ACL", "WHOAMI").Result()), result(reader.Get(ctx, "r:1").Result()), result(reader.Set(ctx, "r:1", "v", 0).Result()), result(reader.Get(ctx, "x").Result()))
	for _, entry := range c.ACLLog(ctx, 10).Val() {
		o.add("log", entry.Count, entry.Reason, entry.Context, entry.Object, entry.Username)
	}
	o.add("list", result(c.Do(ctx, "ACL", "LIST").Result()), result(c.Do(ctx, "ACL", "USERS").Result()), result(c.ACLLogReset(ctx).Result()), result(c.Do(ctx, "ACL", "DELUSER", "reader").Result()))
	wrong := redis.NewClient(patient(redis.Options{Addr: c.Options().Addr, Protocol: c.Options().Protocol, Username: "nobody", Password: "secret", DisableIndentity: true}))
	defer wrong.Close()
	o.add("nobody", result(wrong.Ping(ctx).Result()))
	c.ACLLogReset(ctx)
}

func connections(ctx context.Context, c *redis.Client, o *told) {
	named := redis.NewClient(patient(redis.Options{Addr: c.Options().Addr, Protocol: c.Options().Protocol, ClientName: "named", DB: 3}))
	defer named.Close()
	o.add("name and database", result(named.ClientGetName(ctx).Result()), result(named.Set(ctx, "k", "v", 0).Result()), result(c.Get(ctx, "k").Result()), result(c.Do(ctx, "SELECT", "99").Result()))
	id := named.ClientID(ctx).Val()
	done := make(chan string)
	go func() { done <- result(named.BLPop(ctx, 10*time.Second, "none").Result()) }()
	awaitBlocked(ctx, c)
	o.add("unblock", result(c.ClientUnblockWithError(ctx, id).Result()), <-done)
	o.add("kill", result(c.ClientKillByFilter(ctx, "ID", fmt.Sprint(id)).Result()), result(c.ClientKillByFilter(ctx, "ID", fmt.Sprint(id)).Result()))
	o.add("pause", result(c.ClientPause(ctx, 20*time.Millisecond).Result()), result(c.Set(ctx, "k", "later", 0).Result()), result(c.ClientUnpause(ctx).Result()))
	o.add("tracking", result(c.Do(ctx, "CLIENT", "TRACKINGINFO").Result()), result(c.Do(ctx, "CLIENT", "NO-EVICT", "on").Result()), result(c.Do(ctx, "CLIENT", "GETREDIR").Result()))
}
