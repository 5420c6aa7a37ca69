# Every command that the README names. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench image lab-base lab-up lab-ssh lab-down
BASE ?= core
NODE ?= vps1
LAB = scripts/cargo.sh build --quiet -p windlass-tests --bin lab && $${CARGO_TARGET_DIR:-target}/debug/lab

help: ## List the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install the Debian packages that building and all tests need
	@scripts/setup.sh

demo: ## Watch a push reach four machines of a lab, and go wrong safely (QUEUE=amqp: through RabbitMQ)
	@tests/lab/preflight.sh "make demo"
	@scripts/setup.sh demo
	@tests/demo/run.sh

test: setup ## Run all tests; as root also those that boot the lab
	@scripts/test.sh

lint: ## Check format, lints, dependencies and shell scripts
	@scripts/lint.sh

bench: ## Measure Windlass beside a shell script, pyinfra and Ansible
	@tests/bench/run.sh

image: setup ## Build the worker's image without Docker and try it (target/windlass-image.tar)
	@scripts/setup.sh image
	@docker/build.sh

lab-base: ## Build the lab's base image (BASE=core or stack)
	@tests/lab/preflight.sh "make lab-base"
	@scripts/setup.sh lab
	@tests/lab/base/build.sh $(BASE)

lab-up: ## Boot vps1 to vps3 and homelab, to stay (BASE=core or stack)
	@tests/lab/preflight.sh "make lab-up"
	@scripts/setup.sh lab
	@tests/lab/base/build.sh $(BASE)
	@$(LAB) up --base $(BASE)

lab-ssh: ## Log in to a machine of the lab (NODE=vps1)
	@$(LAB) ssh $(NODE)

lab-down: ## Remove the lab that lab-up booted
	@$(LAB) down
