package link_test

import (
	"testing"

	"github.com/understudy-db/understudy/server/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }
