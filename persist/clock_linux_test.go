package persist

import "testing"

func TestParseOffsets(t *testing.T) {
	t.Parallel()
	tests := []struct {
		why  string
		text string
		want int64
		ok   bool
	}{
		{"outside of a namespace", "monotonic           0         0\nboottime            0         0\n", 0, true},
		{"in one that is ahead", "monotonic           0         0\nboottime         1000       123\n", 1_000_000_000_123, true},
		{"in one that is behind, with the rest counted up", "monotonic          -2         0\nboottime           -2         1\n", -1_999_999_999, true},
		{"in another order", "boottime 5 0\nmonotonic 7 0\n", 5_000_000_000, true},
		{"without the line", "monotonic 0 0\n", 0, false},
		{"cut off", "monotonic 0 0\nboottime 1", 0, false},
		{"empty", "", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			if got, err := parseOffsets(tt.text); got != tt.want || (err == nil) != tt.ok {
				t.Errorf("parseOffsets: %d, %v: want %d, success: %v", got, err, tt.want, tt.ok)
			}
		})
	}
}
