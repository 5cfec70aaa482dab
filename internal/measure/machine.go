package measure

import (
	"bufio"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// A Machine says where something was measured, and what.
type Machine struct {
	GOOS   string `json:"goos"`
	GOARCH string `json:"goarch"`
	CPU    string `json:"cpu"`   // as the system calls it; "" if it does not say
	Procs  int    `json:"procs"` // that Go may use
	Go     string `json:"go"`    // version
	Weir   string `json:"weir"`  // version, and revision if that is known
}

// ThisMachine returns that of this process.
func ThisMachine() Machine {
	return Machine{
		GOOS: runtime.GOOS, GOARCH: runtime.GOARCH, CPU: cpuModel(),
		Procs: runtime.GOMAXPROCS(0), Go: runtime.Version(), Weir: weirVersion(),
	}
}

func cpuModel() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		switch strings.TrimSpace(name) {
		case "model name", "Model", "cpu model":
			return strings.TrimSpace(value)
		}
	}
	return ""
}

const modulePath = "github.com/seed-0c889b51/weir"

func weirVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := ""
	if strings.HasPrefix(info.Main.Path, modulePath) {
		version = info.Main.Version
	}
	for _, dep := range info.Deps {
		if dep.Path == modulePath && version == "" {
			version = dep.Version
		}
	}
	if version == "" {
		version = "unknown"
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			version += " " + s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			version += " modified"
		}
	}
	return version
}
