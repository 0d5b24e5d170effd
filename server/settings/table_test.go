package settings

import (
	"testing"
)

func TestX(t *testing.T) { New() }
