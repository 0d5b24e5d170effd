# Understudy: build, test, demo. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := bin
export CGO_ENABLED ?= 0

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-zA-Z_-]+:.*?## ' $(MAKEFILE_LIST) | awk -F':.*?## ' '{printf "  %-20s %s\n", $$1, $$2}'

.PHONY: build
build: ## build the programs into bin/
	go build -trimpath -o $(BIN)/understudy-server ./server
	go build -trimpath -o $(BIN)/understudy-operator ./controllers
	go build -trimpath -o $(BIN)/kubectl-understudy ./controllers/kubectl-understudy

.PHONY: archtest
archtest: ## check the import rules
	go test ./hack/archtest/

.PHONY: test
test: ## every suite that needs no root; what cannot run is printed as NOT RUN with what to install
	KUBEBUILDER_ASSETS=$${KUBEBUILDER_ASSETS:-$$(go run ./hack/cluster assets)} go run ./hack/testall
# Tools are pinned in hack/tools/go.mod and built on first use.
bin/controller-gen: hack/tools/go.mod
	cd hack/tools && go build -o ../../bin/controller-gen sigs.k8s.io/controller-tools/cmd/controller-gen
bin/golangci-lint: hack/tools/go.mod
	cd hack/tools && go build -o ../../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
bin/helm: hack/tools/go.mod
	cd hack/tools && go build -o ../../bin/helm helm.sh/helm/v3/cmd/helm

.PHONY: generate
generate: bin/controller-gen ## write deepcopy code, the CRD and the chart's copy of it
	bin/controller-gen object paths=./api/v1alpha1/...
	bin/controller-gen crd paths=./api/v1alpha1/... output:crd:dir=config/crd/bases
	cp config/crd/bases/understudy.dev_replicasets.yaml charts/understudy/files/crd.yaml
	sed -n '/^rules:/,$$p' config/rbac/role.yaml > charts/understudy/files/role-rules.yaml
	sed -n '/^rules:/,$$p' config/rbac/leader_election_role.yaml > charts/understudy/files/leader-rules.yaml

.PHONY: lint
lint: bin/golangci-lint ## run the linters
	bin/golangci-lint run ./...

.PHONY: bench
bench: ## our server beside redis-server: ratios with their budgets (docs/performance.md)
	go run ./hack/bench $(BENCHFLAGS)

# A real Kubernetes on this machine (docs/cluster.md). N names a node: make cluster-node-kill N=2
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

.PHONY: images
images: ## the server's and the operator's images as archives in bin/images, without a container engine
	go run ./hack/image

# LABELS chooses specs (cluster, operator); FOCUS by text.
.PHONY: e2e
e2e: ## end-to-end suites on a real cluster (root; LABELS=cluster; leaves the cluster up)
	go test -tags e2e -count 1 -timeout 40m ./hack/e2e -ginkgo.v -ginkgo.label-filter='$(LABELS)' -ginkgo.focus='$(FOCUS)'

.PHONY: image-buildah
image-buildah: ## build the Dockerfile by Debian's buildah, without a registry (root)
	hack/image/buildah.sh

# CLUSTER=current IMG=registry/path/understudy:tag takes your own cluster, after asking.
.PHONY: demo demo-down
demo: ## see it work: cluster, Helm, failover, rotation, switchover, an account with times (root)
	go run ./hack/demo
demo-down: ## end what the demo started
	go run ./hack/demo down

.PHONY: conformance
conformance: ## run Redis's own test suite against the server and compare with hack/conformance/results.txt
	go run ./hack/conformance

# C chooses: interop, crash, switchover, accident, onewriter. Results go to docs/campaigns.
.PHONY: campaign
campaign: ## a long fault run on a real cluster, its figures kept in docs/campaigns (root; C=crash FLAGS="-rounds 200")
	go run ./hack/campaign $(C) $(FLAGS)
