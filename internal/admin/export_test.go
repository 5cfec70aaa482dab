package admin

// HasCure tells whether a warning of package httpmw has a level and a cure.
func HasCure(name string) bool { return cures[name].level != "" && cures[name].cure != "" }
