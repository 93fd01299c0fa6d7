"""What a network learns: tasks, datasets, prepared data and networks. Methods, training and results may not enter."""
