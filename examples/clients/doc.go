// Package clients has tests alone: what HTTP clients as people use them, and a
// browser, make of the answers of a weir-limited server.
//
// They want curl, python3 with urllib3, node 20.18.1 or later with npm and its
// registry, and chromium; what is not there is skipped, or with WEIR_CLIENTS=all
// in the environment a failure. The npm packages of testdata/package-lock.json
// are installed once, in the user's cache directory.
package clients
