package google

import "strconv"

func calendarColorIDs() []string {
	ids := make([]string, len(calendarColors))
	for i := range ids {
		ids[i] = strconv.Itoa(i + 1)
	}
	return ids
}

func calendarColor(id string) string {
	if n, err := strconv.Atoi(id); err == nil && n >= 1 && n <= len(calendarColors) {
		return calendarColors[n-1]
	}
	return calendarColors[13]
}

func colorsGet(*call) (obj, *apiError) {
	palette := func(list []string) obj {
		out := obj{}
		for i, bg := range list {
			out[strconv.Itoa(i+1)] = obj{"background": bg, "foreground": "#1d1d1d"}
		}
		return out
	}
	return obj{"kind": "calendar#colors", "updated": "2012-02-14T00:00:00.000Z", "calendar": palette(calendarColors), "event": palette(eventColors)}, nil
}
