SELECT *, grade(instruction, response) AS verdict FROM generations
