package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/understudy-db/understudy"

// rule forbids the packages below From to import anything for which Forbid answers true.
type rule struct {
	from   string // folder prefix, slash separated
	except []string
	forbid func(path string) bool
	tests  bool // also binds _test.go files
	reason string
}

func ours(path string) (string, bool) {
	if path == module {
		return ".", true
	}
	rest, ok := strings.CutPrefix(path, module+"/")
	return rest, ok
}

func below(dir, prefix string) bool { return dir == prefix || strings.HasPrefix(dir, prefix+"/") }

func oursBelow(prefixes ...string) func(string) bool {
	return func(path string) bool {
		dir, ok := ours(path)
		if !ok {
			return false
		}
		for _, p := range prefixes {
			if below(dir, p) {
				return true
			}
		}
		return false
	}
}

func anyOurs(except ...string) func(string) bool {
	return func(path string) bool {
		dir, ok := ours(path)
		if !ok {
			return false
		}
		for _, p := range except {
			if below(dir, p) {
				return false
			}
		}
		return true
	}
}

func outside(prefixes ...string) func(string) bool {
	return func(path string) bool {
		for _, p := range prefixes {
			if path == p || strings.HasPrefix(path, p+"/") {
				return true
			}
		}
		return false
	}
}

func either(fs ...func(string) bool) func(string) bool {
	return func(path string) bool {
		for _, f := range fs {
			if f(path) {
				return true
			}
		}
		return false
	}
}

func thirdParty(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".") && !strings.HasPrefix(path, module)
}

var impure = outside("net", "os", "math/rand", "syscall", "golang.org/x/sys")

var rules = []rule{
	{from: "api", forbid: anyOurs("api"), reason: "api is what operator and server share; it depends on neither"},
	{from: "api/member", forbid: either(thirdParty, anyOurs("api/member")), reason: "the wire messages are stdlib only"},
	{from: "server", forbid: either(outside("k8s.io", "sigs.k8s.io"), oursBelow("controllers")), tests: true,
		reason: "the server knows nothing of Kubernetes; it meets the operator in api/member"},
	{from: "controllers", forbid: oursBelow("server"), reason: "the operator never links the server; only tests and simtest may"},
	{from: "server/resp", forbid: either(impure, anyOurs("server/resp")), reason: "resp is a codec over byte slices"},
	{from: "server/listpack", forbid: either(impure, anyOurs("server/listpack")), reason: "listpack is a codec over byte slices"},
	{from: "server/store", forbid: either(impure, anyOurs("server/store", "server/listpack")), reason: "store is a data structure: time and randomness are arguments"},
	{from: "server/repl", forbid: either(impure, anyOurs("server/repl", "api/member")), reason: "repl holds pure state machines; link drives them"},
	{from: "controllers/plan", forbid: either(impure, anyOurs("api", "controllers/plan")), reason: "plan decides from plain data: it imports api only"},
	{from: "server/command", forbid: oursBelow("server/engine", "server/link", "server/session", "server/script", "server/manage", "server/app", "server/transport"),
		reason: "rows are data: the handler that needs more is registered by the package that owns the state"},
	{from: "server", except: []string{"server/script"}, forbid: outside("github.com/yuin/gopher-lua"), reason: "Lua is known to the scripts' package only"},
	{from: "server/script", forbid: oursBelow("server/session", "server/link", "server/transport", "server/app", "server/manage", "server/settings", "server/store"),
		reason: "scripts reach the data through the engine's nest only"},
	{from: "server/pubsub", forbid: either(impure, anyOurs("server/pubsub", "server/command", "server/resp")), reason: "pubsub is a data structure: its listeners know sockets"},
	{from: "server/acl", forbid: either(impure, anyOurs("server/acl", "server/command")), reason: "acl holds rules: session knows who is who"},
	{from: "server/tracking", forbid: either(impure, anyOurs("server/tracking", "server/resp")), reason: "tracking is a data structure: the engine tells the clients"},
	{from: "server/engine", forbid: oursBelow("server/link", "server/session", "server/script", "server/manage", "server/app", "server/transport"),
		reason: "engine is below everything that talks to the outside"},
	{from: "server/ticks", forbid: either(thirdParty, anyOurs("server/ticks")), reason: "ticks measures: it knows nothing of what is measured"},
	{from: "server/aof", forbid: anyOurs("server/aof", "server/fsys", "server/resp"), reason: "aof is a format: saving decides when it is written"},
	{from: "server/relay", forbid: anyOurs("server/relay"), reason: "relay moves bytes: it knows neither commands nor roles"},
	{from: "server/session", forbid: oursBelow("server/transport", "server/link", "server/manage"), reason: "a session does not know how it is connected"},
	{from: "server", except: []string{"server/app", "server/servertest"}, forbid: func(path string) bool {
		dir, ok := ours(path)
		return ok && below(dir, "server/app")
	}, reason: "only main and servertest assemble the server"},
	{from: "controllers", except: []string{"controllers/plan", "controllers/observe", "controllers/apply", "controllers/status", "controllers/replicaset",
		"controllers/simtest", "controllers/setup", "controllers/memberclient", "controllers/kubectl-understudy", "controllers/resources"},
		forbid: oursBelow("controllers/plan"), reason: "plan is used by observe, apply, status and the reconciler"},
}

// pureDirs may hold neither goroutines nor clocks, whatever they import (time.Duration is welcome).
var pureDirs = []string{"server/resp", "server/listpack", "server/store", "server/repl", "server/acl", "controllers/plan"}

func TestImports(t *testing.T) {
	seen := 0
	eachFile(t, func(dir, name string, file *ast.File) {
		seen++
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, r := range rules {
				if why := r.broken(dir, name, path); why != "" {
					t.Errorf("%s imports %s: %s", name, path, why)
				}
			}
		}
	})
	if seen == 0 {
		t.Fatal("no Go file found: the test looks at the wrong folder")
	}
}

func (r rule) broken(dir, name, path string) string {
	if !below(dir, r.from) || (!r.tests && strings.HasSuffix(name, "_test.go")) {
		return ""
	}
	for _, e := range r.except {
		if below(dir, e) {
			return ""
		}
	}
	if dir == "server" && r.from == "server" && !r.tests { // main.go assembles
		return ""
	}
	if (below(dir, "controllers/simtest")) && r.from == "controllers" {
		return ""
	}
	if r.forbid(path) {
		return r.reason
	}
	return ""
}

func TestPurePackagesHaveNoGoroutinesAndNoClock(t *testing.T) {
	eachFile(t, func(dir, name string, file *ast.File) {
		if strings.HasSuffix(name, "_test.go") || !pure(dir) {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine: pure packages are driven from outside", name)
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && clock(n.Sel.Name) {
					t.Errorf("%s uses time.%s: time is an argument here", name, n.Sel.Name)
				}
			}
			return true
		})
	})
}

func clock(name string) bool {
	switch name {
	case "Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer":
		return true
	}
	return false
}

func pure(dir string) bool {
	for _, p := range pureDirs {
		if below(dir, p) {
			return true
		}
	}
	return false
}

func TestTopLevelFoldersAreFixed(t *testing.T) {
	allowed := map[string]bool{"api": true, "controllers": true, "server": true, "config": true, "charts": true, "hack": true,
		"docs": true, ".ci": true, ".git": true, "bin": true}
	entries, err := os.ReadDir(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !allowed[e.Name()] {
			t.Errorf("folder %s: the top level is fixed by the design; put it into one of the existing rooms", e.Name())
		}
	}
}

// TestRulesBite feeds every rule an import that it must refuse: a rule that cannot fail guards nothing.
func TestRulesBite(t *testing.T) {
	for _, c := range []struct{ dir, path string }{
		{"api/v1alpha1", module + "/server/store"},
		{"api/member", "k8s.io/api/core/v1"},
		{"server/store", "net"},
		{"server/store", module + "/server/engine"},
		{"server/link", "k8s.io/client-go/rest"},
		{"server/command", module + "/server/engine"},
		{"server/engine", module + "/server/link"},
		{"server/link", module + "/server/app"},
		{"server/relay", module + "/server/resp"},
		{"server/session", module + "/server/transport"},
		{"server/repl/fence", module + "/server/store"},
		{"controllers/apply", module + "/server/store"},
		{"controllers/plan", module + "/controllers/apply"},
	} {
		refused := false
		for _, r := range rules {
			refused = refused || r.broken(c.dir, c.dir+"/x.go", c.path) != ""
		}
		if !refused {
			t.Errorf("no rule refuses %s importing %s", c.dir, c.path)
		}
	}
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// eachFile parses the imports and bodies of every Go file of the product's module.
func eachFile(t *testing.T, visit func(dir, name string, file *ast.File)) {
	t.Helper()
	top := root(t)
	fset := token.NewFileSet()
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(top, path)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel == "bin" || strings.HasPrefix(d.Name(), ".") && rel != "." || d.Name() == "testdata" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := "."
		if i := strings.LastIndexByte(rel, '/'); i >= 0 {
			dir = rel[:i]
		}
		visit(dir, rel, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
