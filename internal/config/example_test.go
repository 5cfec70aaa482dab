package config_test

import (
	"errors"
	"fmt"

	"github.com/seed-0c889b51/weir/internal/config"
)

func ExampleLoad() {
	cfg, err := config.Load(config.Input{
		Name:    "weir.yaml",
		File:    []byte("policies: [ip 100/min]\nstate: a.db\n"),
		Environ: []string{"WEIR_STATE=b.db"},
		Flags:   map[string][]string{"listen": {":8080"}},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(cfg.Serve.Listen, cfg.Serve.State, cfg.Serve.Policies[0])
	// Output: :8080 b.db ip 100/min
}

func ExampleProblems_Text() {
	_, err := config.Load(config.Input{Name: "weir.yaml", File: []byte("policies:\n  - key: ip\n    limt: 100/min\n")})
	var problems config.Problems
	if errors.As(err, &problems) {
		fmt.Print(problems.Text("weir: "))
	}
	// Output:
	// weir: weir.yaml:3:5: policies[0]: unknown key "limt"; did you mean "limit"?
	//     3 |     limt: 100/min
	//       |     ^
}

func ExampleSource_Load() {
	cfg, err := config.Source{Path: "../../examples/weir.yaml"}.Load()
	if err != nil {
		panic(err)
	}
	fmt.Println(len(cfg.Serve.Policies), "policies")
	// Output: 7 policies
}

func ExampleFingerprint() {
	text, err := config.Fingerprint("header:X-Api-Key", "an API key")
	if err != nil {
		panic(err)
	}
	fmt.Println(text)
	// Output: sha256:a32fbd2d0fcd8e5ab721e14ce9c36815
}
