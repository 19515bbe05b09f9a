# Replaces each line that holds "@options PROGRAM FORM" by what
# `PROGRAM --options=FORM` prints; dirs: where the programs are.
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
