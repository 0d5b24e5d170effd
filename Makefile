# Understudy: build, test, demo. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := bin
export CGO_ENABLED ?= 0

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-zA-Z0-9_-]+:.*?## ' $(MAKEFILE_LIST) | awk -F':.*?## ' '{printf "  %-20s %s\n", $$1, $$2}'

# --- build ---------------------------------------------------------------------------------------------------------

.PHONY: build generate images image-buildah
build: ## build the programs into bin/
	go build -trimpath -o $(BIN)/understudy-server ./server
	go build -trimpath -o $(BIN)/understudy-operator ./controllers
	go build -trimpath -o $(BIN)/kubectl-understudy ./controllers/kubectl-understudy
generate: $(BIN)/controller-gen ## write deepcopy code, the CRD and the chart's copy of it
	$(BIN)/controller-gen object paths=./api/v1alpha1/...
	$(BIN)/controller-gen crd paths=./api/v1alpha1/... output:crd:dir=config/crd/bases
	cp config/crd/bases/understudy.dev_replicasets.yaml charts/understudy/files/crd.yaml
	sed -n '/^rules:/,$$p' config/rbac/role.yaml > charts/understudy/files/role-rules.yaml
	sed -n '/^rules:/,$$p' config/rbac/leader_election_role.yaml > charts/understudy/files/leader-rules.yaml
images: ## the server's and the operator's images as archives in bin/images, without a container engine
	go run ./hack/image
image-buildah: ## build the Dockerfile by Debian's buildah, without a registry (root)
	hack/image/buildah.sh

# --- check ---------------------------------------------------------------------------------------------------------

.PHONY: presubmit fmt-check vet lint archtest test race
presubmit: fmt-check vet lint archtest test ## everything to run before a change is sent
fmt-check: ## fail when a file is not formatted, naming it
	@bad=$$(git ls-files '*.go' | xargs gofmt -l); [ -z "$$bad" ] || { echo "not formatted, run gofmt -w on:"; echo "$$bad"; exit 1; }
vet: ## run go vet, over the end-to-end suites too
	go vet ./...
	go vet -tags e2e ./hack/e2e/...
lint: $(BIN)/golangci-lint ## run the linters, over the end-to-end suites too
	$(BIN)/golangci-lint run ./...
	$(BIN)/golangci-lint run --build-tags e2e ./hack/e2e/...
archtest: ## check the import rules
	go test ./hack/archtest/
test: $(BIN)/helm ## every suite that needs no root; what cannot run is printed as NOT RUN with what to install
	KUBEBUILDER_ASSETS=$${KUBEBUILDER_ASSETS:-$$(go run ./hack/cluster assets)} go run ./hack/testall
race: ## server, messages, planner and simulation under the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race -timeout 40m ./server/... ./api/... ./controllers/plan/... ./controllers/simtest/...

# --- measure and compare -------------------------------------------------------------------------------------------

FUZZTIME ?= 30s
.PHONY: fuzz
fuzz: ## fuzz every parser in turn, each for FUZZTIME; what is found stays in testdata/fuzz
	@set -e; grep -rl --include='*_test.go' '^func Fuzz' api server | xargs -n1 dirname | sort -u | while read -r dir; do \
	  for target in $$(grep -h '^func Fuzz' $$dir/*_test.go | sed 's/^func \(Fuzz[A-Za-z0-9]*\).*/\1/'); do \
	    echo "== $$dir $$target"; go test ./$$dir -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) </dev/null; \
	  done; done

.PHONY: bench conformance campaign
bench: ## our server beside redis-server: ratios with their budgets (docs/performance.md)
	go run ./hack/bench $(BENCHFLAGS)
conformance: ## run Redis's own test suite against the server and compare with hack/conformance/results.txt
	go run ./hack/conformance
# C chooses: interop, differential, replicas, history, simulation, soak, crash, switchover, accident, onewriter. Results go to docs/campaigns.
campaign: ## a long fault run on a real cluster, its figures kept in docs/campaigns (root; C=crash FLAGS="-rounds 200")
	go run ./hack/campaign $(C) $(FLAGS)

# --- a real Kubernetes on this machine (docs/cluster.md) -----------------------------------------------------------

# N names a node: make cluster-node-kill N=2
CLUSTER_NODES ?= 3
.PHONY: cluster-up cluster-down cluster-status cluster-node-kill cluster-node-restart cluster-node-cut cluster-node-heal
cluster-up: ## start a real Kubernetes on this machine (root; CLUSTER_NODES=3)
	go run ./hack/cluster up --nodes $(CLUSTER_NODES)
cluster-down: ## end it and remove everything it made, whatever a crash left
	go run ./hack/cluster down
cluster-status: ## its processes, nodes, logs and addresses
	go run ./hack/cluster status
cluster-node-kill: ## kill node N at once (N=2)
	go run ./hack/cluster kill-node $(N)
cluster-node-restart: ## start node N again on the same disk
	go run ./hack/cluster restart-node $(N)
cluster-node-cut: ## take node N off the network; its containers go on
	go run ./hack/cluster cut-node $(N)
cluster-node-heal: ## put node N back on the network
	go run ./hack/cluster heal-node $(N)

.PHONY: e2e demo demo-down
# LABELS chooses specs (cluster, operator); FOCUS by text.
e2e: ## end-to-end suites on a real cluster (root; LABELS=cluster; leaves the cluster up)
	go test -tags e2e -count 1 -timeout 40m ./hack/e2e -ginkgo.v -ginkgo.label-filter='$(LABELS)' -ginkgo.focus='$(FOCUS)'
# CLUSTER=current IMG=registry/path/understudy:tag takes your own cluster, after asking.
demo: ## see it work: cluster, Helm, failover, rotation, switchover, an account with times (root)
	go run ./hack/demo
demo-down: ## end what the demo started
	go run ./hack/demo down

# --- tools: pinned in hack/tools/go.mod, built on first use --------------------------------------------------------

$(BIN)/controller-gen: PACKAGE = sigs.k8s.io/controller-tools/cmd/controller-gen
$(BIN)/golangci-lint: PACKAGE = github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(BIN)/helm: PACKAGE = helm.sh/helm/v3/cmd/helm
$(BIN)/controller-gen $(BIN)/golangci-lint $(BIN)/helm: hack/tools/go.mod
	cd hack/tools && go build -o $(abspath $@) $(PACKAGE)
