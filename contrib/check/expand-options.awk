# Replaces each line that holds "@options PROGRAM FORM" by what
# `PROGRAM --options=FORM` prints; dirs: where the programs are.
# In its place a line with "@pages REGEX" gets an item for each manual page
# whose path matches, with its line of purpose; pages: all of them.
/@pages [^ ]+$/ {
	n = split(pages, page, " ")
	for (i = 1; i <= n; i++) {
		if (page[i] !~ $NF || page[i] == FILENAME)
			continue
		name = page[i]
		sub(/.*\//, "", name)
		match(name, /[.][0-9]$/)
		print ".It Xr " substr(name, 1, RSTART - 1) " " \
		    substr(name, RSTART + 1)
		while ((getline line < page[i]) > 0)
			if (sub(/^[.]Nd /, "", line))
				print line
		close(page[i])
	}
	next
}
/@options [a-z-]+ [a-z]+$/ {
	n = split(dirs, dir, " ")
	for (i = 1; i <= n; i++) {
		file = dir[i] "/" $(NF - 1)
		if ((getline line < file) >= 0) {
			close(file)
			break
		}
	}
	command = file " --options=" $NF
	while ((command | getline line) > 0)
		print line
	if (close(command) != 0) {
		print FILENAME ":" FNR ": " command ": failed" >"/dev/stderr"
		exit 1
	}
	next
}
{ print }
