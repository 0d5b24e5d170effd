package diff

import "os/exec"

func oracleThere() bool {
	_, err := exec.LookPath("redis-server")
	return err == nil
}
