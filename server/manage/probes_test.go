package manage

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/understudy-db/understudy/api/member"
)

func TestProbes(t *testing.T) {
	w := newWorld(t, nil, nil)
	srv := httptest.NewServer(Probes(w.d.Ready, w.d.Metrics))
	defer srv.Close()
	get := func(path string) (int, string) {
		resp, err := http.Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b strings.Builder
		if _, err := bufio.NewReader(resp.Body).WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, b.String()
	}
	if code, _ := get("/livez"); code != 200 {
		t.Errorf("livez %d", code)
	}
	if code, why := get("/readyz"); code != 503 || !strings.Contains(why, "parked") {
		t.Errorf("readyz while parked: %d %s", code, why)
	}
	c := w.operator()
	c.ask(member.Adopt{Order: order1(1)})
	c.ask(promotion(1, time.Minute, podUID))
	eventually(t, "ready", func() bool { code, _ := get("/readyz"); return code == 200 })
	_, text := get("/metrics")
	for _, want := range []string{"understudy_role{role=\"Master\"} 1\n", "understudy_writable 1\n", "# TYPE understudy_replication_offset gauge\n", "understudy_term 1\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %q:\n%s", want, text)
		}
	}
}
