module github.com/understudy-db/understudy/hack/history

go 1.26.0

require (
	github.com/anishathalye/porcupine v1.3.1
	github.com/understudy-db/understudy v0.0.0
)

require (
	github.com/KimMachineGun/automemlimit v1.0.1 // indirect
	github.com/pbnjay/memory v0.0.0-20210728143218-7b4eea64cf58 // indirect
	github.com/yuin/gopher-lua v1.1.2 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/understudy-db/understudy => ../..
