# Understudy: build, test, demo. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := bin
export CGO_ENABLED ?= 0

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-zA-Z_-]+:.*?## ' $(MAKEFILE_LIST) | awk -F':.*?## ' '{printf "  %-14s %s\n", $$1, $$2}'

.PHONY: build
build: ## build the programs into bin/
	go build -trimpath -o $(BIN)/ ./server ./controllers

.PHONY: archtest
archtest: ## check the import rules
	go test ./hack/archtest/

.PHONY: test
test: ## every suite that needs no root; what cannot run is printed as NOT RUN with what to install
	go run ./hack/testall
